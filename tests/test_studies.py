"""Long studies: what their files may say, what their folders hold, what is said of it."""

import json

import numpy as np
import pytest
import xarray
from scipy.stats import norm
from typer.testing import CliRunner

from pkpd.checks import InputError
from pkpd.cli import app
from pkpd.infer.batch import STATUSES
from pkpd.infer.influence import alternatives
from pkpd.records import (
    check_file,
    collect_study,
    load_answer,
    load_question,
    load_sealed,
    load_study,
    resolve,
    run_study,
    study_status,
)
from pkpd.records import study as study_records
from pkpd.records.batch import ledger_of
from pkpd.records.bootstrapped import told
from pkpd.records.calibrated import quantities, reduced_problem
from pkpd.records.started import ends_of, in_words
from pkpd.records.study import code_digest

FIT = "lissoni1995/joint"
TEXT = f"""schema = 1
title = "a few"
kind = "bootstrap"
fit = "{FIT}"
items = 50
chunk = 20
seed = 3
"""


CALIBRATION = f"""schema = 1
kind = "calibration"
fit = "{FIT}"
items = 100
chunk = 40
free = ["survival.scale", "tumour.kkill"]
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "few.toml"
    path.write_text(TEXT, "utf-8")
    return path


@pytest.fixture
def filled(path):
    """A study whose results are normal numbers, the last of which did not converge."""
    study, folder = load_study(path), path.with_suffix(".study")
    names = list(load_answer(FIT)[1].names)

    def chunk(place):
        numbers = np.array(study.numbers(place))
        points = np.stack([np.random.default_rng((1, k)).standard_normal(len(names)) for k in numbers])
        status = np.where(numbers == study.items - 1, 1, 0)
        values = {"point": (("item", "parameter"), points), "status": ("item", status)}
        return xarray.Dataset(values, {"item": numbers, "parameter": names})

    ledger_of(study, folder).fill(lambda: chunk, lambda done: None)
    return study, folder


def run(*arguments):
    return CliRunner().invoke(app, ["batch", *map(str, arguments)])


def test_a_study_is_cut_into_chunks(path):
    study = load_study(path)
    assert study.chunks == 3
    assert [list(study.numbers(k))[:: len(study.numbers(k)) - 1] for k in range(3)] == [
        [0, 19],
        [20, 39],
        [40, 49],
    ]
    assert study.options == {"emulate": 2000}
    assert check_file(str(path)) == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (
            "bootstrap",
            "botstrap",
            'influence, starts, calibration, but is "botstrap". Did you mean "bootstrap"?',
        ),
        ("schema = 1", "schema = 2", "schema: must be 1, but is 2."),
        ("chunk =", "chunks =", 'chunks: must be a known key, but is "chunks". Did you mean "chunk"?'),
        ("items = 50", "items = 0", "items: must be at least 1, but is 0."),
        ("items = 50", "items = 2000000", "items: must be at most 1000000, but is 2000000."),
        ("seed = 3", "seed = -3", "seed: must be a whole number that is not negative, but is -3."),
        ("joint", "jiont", "fit: must be a stored fit"),
    ],
)
def test_what_is_wrong_with_a_study_is_told(path, old, new, rule):
    path.write_text(TEXT.replace(old, new), "utf-8")
    assert any(rule in str(fault) for fault in check_file(str(path)))
    assert not path.with_suffix(".study").exists()


def test_its_status_before_and_after(path, filled):
    study, folder = filled
    assert study_status(study, folder / "nothing") == {"chunks": 3, "done": 0, "items": 50, "items_done": 0}
    (folder / "chunk-00000.nc").unlink()
    found = run("status", path, "--json")
    assert json.loads(found.stdout) == {
        "chunks": 3,
        "done": 2,
        "items": 50,
        "items_done": 30,
        "folder": str(folder),
    }


def test_what_is_collected_is_of_the_replicates_that_converged(filled):
    found, told = collect_study(*filled)
    assert found.sizes["item"] == 50
    assert told["statuses"] == dict(zip(STATUSES, (49, 1, 0), strict=True))
    assert [row["parameter"] for row in told["parameters"]] == list(load_answer(FIT)[1].names)
    row = told["parameters"][0]
    points = found["point"].values[:49, 0]
    assert row["sd"] == pytest.approx(points.std(ddof=1))
    mode, (low, high) = np.log(row["mode"]), np.log(row["ci95"])
    answer = load_answer(FIT)[1].content
    spread = answer["transforms"][row["parameter"]][2]
    assert low - mode == pytest.approx(
        spread * (np.quantile(points, 0.025) - answer["mode"][row["parameter"]])
    )
    assert high - low == pytest.approx(spread * np.ptp(np.quantile(points, [0.025, 0.975])))
    assert high - low < 2 * spread * norm.ppf(0.999)


def test_replicates_of_which_none_converged_have_no_intervals(filled):
    study, folder = filled
    found = collect_study(study, folder)[0]
    found["status"][:] = 1
    with pytest.raises(InputError, match="must be 2 that converged, or more, but is 0"):
        told(study, found)


@pytest.fixture
def influenced(path):
    """A study of which leaving out the first arm moves one parameter, and the last refit did not converge."""
    path.write_text(TEXT.replace("bootstrap", "influence").replace("items = 50\n", ""), "utf-8")
    study, answer = load_study(path), load_answer(FIT)[1]

    def chunk(place):
        numbers = np.array(study.numbers(place))
        points = np.tile(answer.mode.point, (len(numbers), 1))
        points[numbers == 0, 3] += 2.0 * answer.draws[:, 3].std(ddof=1)
        status = np.where(numbers == study.items - 1, 1, 0)
        values = {"point": (("item", "parameter"), points), "status": ("item", status)}
        return xarray.Dataset(values, {"item": numbers, "parameter": list(answer.names)})

    ledger_of(study, path.with_suffix(".study")).fill(lambda: chunk, lambda done: None)
    return path


def test_what_a_fit_owes_to_its_parts(influenced):
    study, names = load_study(influenced), load_answer(FIT)[1].names
    labels = alternatives(resolve(load_question(FIT)).problem)[0]
    assert study.items == len(labels) == 3 + 2 * len(names)
    rows = collect_study(study, influenced.with_suffix(".study"))[1]["alternatives"]
    assert [row["alternative"] for row in rows] == labels
    assert next(iter(rows[0]["shifts"].items())) == (names[3], pytest.approx(2.0))
    assert not rows[-1]["shifts"]
    found = run("collect", influenced, "--plot", influenced.with_suffix(".svg"))
    assert "What does each estimate rest on?" in influenced.with_suffix(".svg").read_text("utf-8")
    assert found.exit_code == 0
    assert f"{names[3]} +2.00" in found.stdout
    assert f"{study.items - 1} converged, 1 too many steps" in found.stdout


def test_how_many_alternatives_there_are_is_not_asked(influenced):
    influenced.write_text(influenced.read_text("utf-8") + "items = 3\n", "utf-8")
    (fault,) = check_file(str(influenced))
    assert 'must be a known key, but is "items"' in str(fault)


@pytest.mark.parametrize(
    ("below", "starts", "words"),
    [
        ((0.0, 0.002, 0.001), [3], "All climbs that converged ended at the stored mode."),
        ((3.0, 0.0, 3.001), [1, 2], "2 ended elsewhere, the best 3.00 below the stored mode."),
        (
            (0.0, -0.5, 3.0),
            [1, 1, 1],
            "A climb ended 0.50 above the stored mode: fit anew.",
        ),
        ((1.0, 1.0, 1.0), [3], "No climb reached the stored mode."),
        ((), [], "No climb converged."),
    ],
)
def test_where_climbs_ended(below, starts, words):
    ends = ends_of(np.array(below))
    assert [end["starts"] for end in ends] == starts
    assert in_words(ends) == words


def test_a_study_of_starts(path):
    path.write_text(TEXT.replace("bootstrap", "starts").replace("items = 50", "items = 3"), "utf-8")
    study, folder = load_study(path), path.with_suffix(".study")
    assert study.options == {}

    def chunk(place):
        reached = load_answer(FIT)[1].mode.log_density - np.array([0.0, 0.2, 0.0])
        values = {"log_density": ("item", reached), "status": ("item", np.array([0, 0, 1]))}
        return xarray.Dataset(values, {"item": np.arange(3)})

    ledger_of(study, folder).fill(lambda: chunk, lambda done: None)
    found = run("collect", path, "--plot", path.with_suffix(".png"))
    assert "2 converged, 1 too many steps" in found.stdout
    assert "1 ended elsewhere, the best 0.20 below the stored mode." in found.stdout
    assert path.with_suffix(".png").stat().st_size > 10_000


def test_collected_files_and_words(path, filled, tmp_path):
    out, picture = tmp_path / "all.csv", tmp_path / "all.png"
    found = run("collect", path, "--out", out, "--plot", picture)
    assert picture.stat().st_size > 20_000
    assert found.exit_code == 0
    assert "a few: 50 of 50 items of lissoni1995/joint" in found.stdout
    assert "49 converged, 1 too many steps" in found.stdout
    assert "redraws the counts and the centres of the priors" in " ".join(found.stdout.split())
    assert len(out.read_text("utf-8").splitlines()) == 1 + 50 * len(load_answer(FIT)[1].names)


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        (("resume",), "must be a study that was begun"),
        (("collect",), "must hold a chunk"),
        (("collect", "--out", "x.parqet"), "must end in .csv, .nc or .parquet"),
    ],
)
def test_commands_that_come_too_early_or_ask_too_much(path, command, rule):
    verb, *rest = command
    found = run(verb, path, *rest)
    assert found.exit_code == 2
    assert rule in found.stderr


def test_a_folder_of_another_study_is_refused(path, filled):
    path.write_text(TEXT.replace("seed = 3", "seed = 4"), "utf-8")
    rule = "seed: must be what the folder's results were made with, but is 4."
    for command in ("status", "collect"):
        found = run(command, path)
        assert found.exit_code == 2
        assert rule in found.stderr
    with pytest.raises(InputError, match=rule):
        run_study(load_study(path), filled[1])


def test_what_a_study_says_is_stored_with_what_was_asked(path, filled):
    assert run("collect", path, "--seal").exit_code == 0
    stored = load_sealed(load_study(path))
    assert stored["statuses"]["converged"] == 49
    assert stored["asked"]["answer"] == load_answer(FIT)[1].content["draws"]["sha256"]
    path.write_text(TEXT.replace("seed = 3", "seed = 4"), "utf-8")
    with pytest.raises(InputError, match=r"asked\.seed: must be what is asked today, but is 3"):
        load_sealed(load_study(path))


def test_half_a_study_is_not_stored(path, filled):
    (filled[1] / "chunk-00001.nc").unlink()
    found = run("collect", path, "--seal", "--out", path.with_suffix(".csv"))
    assert found.exit_code == 2
    assert "--seal: must be of all 3 chunks, but is 2. pkpd batch resume computes" in found.stderr
    assert not list(path.parent.glob("few.[cj]s*"))
    with pytest.raises(InputError, match="must be what a study says"):
        load_sealed(filled[0])


def test_code_that_only_tells_of_results_does_not_end_a_study(monkeypatch):
    now = code_digest()
    assert code_digest() == now
    monkeypatch.setattr(study_records, "TELLING", ("cli",))
    assert code_digest() != now


@pytest.fixture
def calibrated(tmp_path):
    """A calibration whose ranks are uniform but for those of the second parameter."""
    path = tmp_path / "ranks.toml"
    path.write_text(CALIBRATION, "utf-8")
    study, folder = load_study(path), path.with_suffix(".study")
    names = quantities(reduced_problem(study))

    def chunk(place):
        numbers = np.array(study.numbers(place))
        places = np.random.default_rng(place).uniform(size=(len(numbers), len(names)))
        places[:, 1] = places[:, 1] ** 2
        values = {"place": (("item", "quantity"), places), "converged": ("item", np.ones(len(numbers)))}
        return xarray.Dataset(values, {"item": numbers, "quantity": names})

    ledger_of(study, folder).fill(lambda: chunk, lambda done: None)
    return path


def test_a_calibration_says_what_is_not_uniform_and_draws_it(calibrated, tmp_path):
    found = run("collect", calibrated, "--plot", tmp_path / "ranks.png")
    assert found.exit_code == 0
    assert "Not calibrated: the ranks of tumour.kkill are not uniform" in " ".join(found.stdout.split())
    assert "100 of 100 data sets of lissoni1995/joint" in found.stdout
    assert (tmp_path / "ranks.png").stat().st_size > 20_000
    told = json.loads(run("collect", calibrated, "--json").stdout)
    rows = {row["quantity"]: row for row in told["quantities"]}
    assert [name for name, row in rows.items() if not row["uniform"]] == ["tumour.kkill"]
    assert {"log likelihood", "L1995_SCC/IL-2 + melatonin regression"} < set(rows)
    assert rows["log likelihood"]["held95"] == pytest.approx(0.95, abs=0.1)


def test_a_calibration_without_free_parameters_or_with_wrong_ones_is_refused(calibrated):
    text = calibrated.read_text("utf-8")
    calibrated.write_text(text.replace("free =", "fere ="), "utf-8")
    faults = [str(fault) for fault in check_file(str(calibrated))]
    assert any("free: must be a list of texts" in fault for fault in faults)
    assert any('fere: must be a known key, but is "fere". Did you mean "free"?' in fault for fault in faults)
    calibrated.write_text(text.replace("kkill", "kkil"), "utf-8")
    (fault,) = check_file(str(calibrated))
    assert 'free: must be a free parameter of the fit, but is "tumour.kkil"' in str(fault)


def test_a_picture_must_be_of_a_kind_that_can_be_written(path, filled):
    found = run("collect", path, "--plot", "x.pgn")
    assert found.exit_code == 2
    assert '--plot: must end in .png, .svg, .pdf, but is ".pgn"' in found.stderr


@pytest.mark.slow
def test_a_calibration_runs(tmp_path):
    path = tmp_path / "ranks.toml"
    text = CALIBRATION.replace("items = 100", "items = 3").replace("chunk = 40", "chunk = 2")
    path.write_text(text + "patients = 8\nemulate = 300\nwarmup = 50\ndraws = 50\nchains = 2\n", "utf-8")
    study, folder = load_study(path), tmp_path / "results"
    assert run_study(study, folder) == 2
    found, told = collect_study(study, folder)
    assert told["items"] == 3
    assert ((found["place"] > 0.0) & (found["place"] < 1.0)).all()
    assert (found["accepted"] > 0.3).all()


@pytest.mark.slow
def test_a_study_runs(path):
    path.write_text(TEXT.replace("50", "3").replace("chunk = 20", "chunk = 2\nemulate = 300"), "utf-8")
    study, folder = load_study(path), path.with_suffix(".study")
    assert run_study(study, folder) == 2
    found, told = collect_study(study, folder)
    assert told["statuses"]["converged"] == 3
    assert found["gradient"].values.max() <= 2e-4
    first = found["log_density"].values
    (folder / "chunk-00000.nc").unlink()
    assert run_study(study, folder) == 1
    again, _ = collect_study(study, folder)
    assert np.array_equal(again["log_density"].values, first)
