"""What is kept of a long study: whole, its own, and the same after any stop."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray

from pkpd.checks import InputError
from pkpd.ledger import Ledger

CHUNKS, SIZE = 12, 5
FACTS = {"question": "abc", "seed": 7}
STUDY = """
import sys, time
from pathlib import Path
from tests.test_ledger import CHUNKS, FACTS, chunk
from pkpd.ledger import Ledger

def slowly(k):
    time.sleep(0.02)
    return chunk(k)

print("begun", flush=True)
Ledger(Path(sys.argv[1]), FACTS, CHUNKS).fill(lambda: slowly, lambda done: print(done, flush=True))
"""


def chunk(k):
    random = np.random.default_rng((7, k))
    value, status = random.normal(size=(SIZE, 2)), random.integers(0, 3, SIZE)
    names = {"item": np.arange(SIZE) + k * SIZE, "parameter": ["a", "µ"]}
    return xarray.Dataset({"value": (("item", "parameter"), value), "status": ("item", status)}, names)


def ledger(folder, **facts):
    return Ledger(folder, FACTS | facts, CHUNKS)


@pytest.fixture
def filled(tmp_path):
    kept = ledger(tmp_path / "study")
    kept.fill(lambda: chunk, lambda done: None)
    return kept


def test_chunks_are_joined_in_order_and_read_without_this_package(filled):
    found = filled.all()
    assert found["item"].values.tolist() == list(range(CHUNKS * SIZE))
    with xarray.open_dataset(filled.folder / "chunk-00003.nc", engine="scipy") as third:
        assert np.array_equal(third["value"].values, chunk(3)["value"].values)
        assert third["parameter"].values.tolist() == ["a", "µ"]


def test_only_what_is_missing_is_computed(filled):
    (filled.folder / "chunk-00004.nc").unlink()
    asked, told = [], []

    def compute(k):
        asked.append(k)
        return chunk(k)

    before = [p.stat().st_mtime_ns for p in sorted(filled.folder.glob("chunk-0000[0-3].nc"))]
    assert filled.fill(lambda: compute, told.append) == 1
    assert (asked, told) == ([4], [CHUNKS])
    assert before == [p.stat().st_mtime_ns for p in sorted(filled.folder.glob("chunk-0000[0-3].nc"))]

    def never():
        raise AssertionError("nothing is missing")

    assert filled.fill(never, told.append) == 0


def test_another_question_is_refused_with_all_that_differs(filled):
    other = ledger(filled.folder, question="abd", code="1")
    with pytest.raises(InputError) as refused:
        other.fill(lambda: chunk, lambda done: None)
    assert {fault.place for fault in refused.value.faults} == {"question", "code"}
    assert "must be what the folder's results were made with" in str(refused.value)
    with pytest.raises(InputError, match="question"):
        other.all()
    assert len(filled.done()) == CHUNKS


def test_two_drivers_at_once_are_refused(filled):
    with filled.claimed(), pytest.raises(InputError, match="must not be in use by another process"):
        ledger(filled.folder).fill(lambda: chunk, lambda done: None)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:], "must hold what was written"),
        (lambda data: data[: len(data) // 2], "must"),
        (lambda data: b"", "must be a whole file"),
        (lambda data: b"\x00" * len(data), "must be a whole file"),
    ],
    ids=["a bit", "half", "empty", "zeros"],
)
def test_damage_is_told_and_mended_by_deleting(filled, spoil, rule):
    path = filled.folder / "chunk-00002.nc"
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    with pytest.raises(InputError, match=rule) as told:
        filled.all()
    assert "chunk-00002.nc" in str(told.value)
    assert "Delete it" in str(told.value)
    path.unlink()
    filled.fill(lambda: chunk, lambda done: None)
    assert path.read_bytes() == whole


def test_a_chunk_of_another_study_is_refused(filled, tmp_path):
    other = ledger(tmp_path / "other", seed=8)
    other.fill(lambda: chunk, lambda done: None)
    (filled.folder / "chunk-00001.nc").write_bytes((other.folder / "chunk-00001.nc").read_bytes())
    with pytest.raises(InputError, match="must be a chunk of this study"):
        filled.all()


def test_an_empty_folder_has_nothing_to_join(tmp_path):
    with pytest.raises(InputError, match="must hold a chunk"):
        ledger(tmp_path / "study").all()


def test_a_damaged_manifest_is_told(filled):
    (filled.folder / "study.json").write_text("{", "utf-8")
    with pytest.raises(InputError, match=r"study.json: must be a whole file"):
        filled.all()


def test_a_chunk_that_fails_leaves_the_others(tmp_path):
    def compute(k):
        if k == 5:
            raise OSError(28, "No space left on device", "chunk-00005.nc")
        return chunk(k)

    kept = ledger(tmp_path / "study")
    with pytest.raises(OSError, match="No space left"):
        kept.fill(lambda: compute, lambda done: None)
    assert 5 not in kept.done()
    assert not list(kept.folder.glob(".*.part"))
    kept.fill(lambda: chunk, lambda done: None)
    assert kept.all()["item"].values.tolist() == list(range(CHUNKS * SIZE))


def test_a_full_disk_is_told_and_spoils_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", disk], capture_output=True)
    if made.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        kept = ledger(disk / "study")
        with pytest.raises(OSError, match="No space left") as told:
            kept.fill(lambda: chunk, lambda done: None)
        assert "chunk-" in str(told.value.filename)
        there = kept.done()
        assert 0 < len(there) < CHUNKS
        for k in there:
            assert np.array_equal(kept.read(k)["value"], chunk(k)["value"])
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        kept.fill(lambda: chunk, lambda done: None)
        assert len(kept.done()) == CHUNKS
    finally:
        subprocess.run(["umount", disk], check=True)


def killed_and_resumed(folder, seed):
    """The bytes of all chunks after a kill -9 at a random moment and a second run."""
    command = [sys.executable, "-c", STUDY, str(folder)]
    place = {"cwd": Path(__file__).parents[1], "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **place) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(np.random.default_rng(seed).uniform(0.0, 0.012 * CHUNKS))
        process.kill()
    subprocess.run(command, check=True, **place)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(k, marks=pytest.mark.slow) for k in range(3, 20))]
)
def test_killed_and_resumed_is_as_undisturbed(filled, tmp_path, seed):
    found = killed_and_resumed(tmp_path / "killed", seed)
    assert found == {p.name: p.read_bytes() for p in filled.folder.iterdir() if p.name != ".lock"}
