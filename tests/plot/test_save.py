"""Pictures are written whole or not at all, and the same figure gives the same bytes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from pkpd.checks import InputError
from pkpd.plot import save
from tests.plot.test_plot import starts


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_save_writes_the_same_file_again(tmp_path: Path, ending: str, magic: bytes) -> None:
    path = save(starts(), tmp_path / f"a.{ending}")
    assert path.read_bytes().startswith(magic)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    first = path.read_bytes()
    assert save(starts(), path).read_bytes() == first


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.pgn", r'must end in \.png, \.svg or \.pdf, but is "\.pgn"\. Did you mean "png"\?'),
        ("a", r"must end in \.png, \.svg or \.pdf"),
        ("missing/a.png", r"must be in a folder that exists"),
        ("file.png/a.png", r"must be in a folder that exists"),
        ("folder.png", r"must be a file, not a folder"),
    ],
)
def test_save_refuses_what_it_cannot_write(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file.png").write_bytes(b"")
    with pytest.raises(InputError, match=text):
        save(starts(), tmp_path / name)
    assert {p.name for p in tmp_path.iterdir()} == {"folder.png", "file.png"}


def test_save_names_both_faults_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        save(starts(), tmp_path / "missing" / "a.jpg")
    assert len(caught.value.faults) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_save_refuses_a_closed_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="must be a file that can be written"):
        save(starts(), tmp_path / "a.png")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_save_leaves_the_old_file_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def half(self: Figure, file: Any, **_: Any) -> None:
        file.write(b"half")
        raise error

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises((InputError, KeyboardInterrupt)) as caught:
        save(starts(), path)
    assert "No space left on device" in str(caught.value) or isinstance(error, KeyboardInterrupt)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_drawing_and_saving_leave_the_settings_of_others_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save(starts(), tmp_path / "a.svg")
    assert dict(mpl.rcParams) == before


def test_importing_loads_nothing_and_drawing_needs_no_display(tmp_path: Path) -> None:
    code = (
        "import sys, pkpd.plot as p; assert not {'matplotlib', 'jax'} & set(sys.modules)\n"
        f"p.save(p.plot_starts([-1.0, -2.0], [True, False]), r'{tmp_path / 'a.png'}')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
