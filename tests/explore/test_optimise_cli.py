"""The command `pkpd optimise`: what a person types and gets."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from pkpd.cli import main
from pkpd.cli.optimise import _print
from pkpd.explore.setting import setting_of
from pkpd.plot import plot_pareto

DATA = Path(__file__).parents[1] / "data" / "schedules"
BASE = ("optimise", "logkill.toml", "--regimen", "poison 6 mg iv q24h x4")
WORDS = (*BASE, "--vary", "poison.amount 1..12 mg step 1", "--maximise", "relief", "--patients", "4")


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs a command in a folder with the fictitious models: exit code, stdout, stderr."""
    for name in ("poison", "logkill"):
        shutil.copy(DATA / f"{name}.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pkpd.devices.configure", lambda **settings: None)  # JAX has run in this process

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["pkpd", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


def test_a_cap_that_decides_is_the_headline(run, capsys, tmp_path):
    code, out, err = run(*WORDS, "--json", "--plot", "front.png")
    assert code == 0
    assert "wrote front.png" in err
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(out)
    assert found["status"] == "converged"
    assert found["regimen"] == "poison 9 mg iv q24h x4"
    assert found["varied"]["poison.amount"]["value"] == 9.0
    (cap,) = found["constraints"]
    assert (cap["limit"], cap["value"], cap["binds"], cap["cap"]) == ("poison.daily <= 9 mg", 9.0, True, True)
    assert found["headline"] == "A cap decides: poison.daily <= 9 mg (White E. J Example 2023;5:1-5. Table 2)"
    assert found["value"] > found["base"]["value"]
    assert {"at", "value", "regimen"} <= set(found["pareto"][-1])
    _print(found)
    told = capsys.readouterr().out
    assert told.startswith(found["headline"])
    assert "Best: poison 9 mg iv q24h x4" in told
    assert "For research, not for treatment decisions." in told
    (axes,) = plot_pareto(found).axes
    assert axes.get_xlabel() == "poison.total (mg)"
    best = next(line for line in axes.lines if line.get_label() == "best")
    assert np.asarray(best.get_xydata())[0] == pytest.approx([36.0, 100.0 * found["value"]], rel=1e-6)


def test_surfaces(run, tmp_path):
    """Over one variable a curve, over two a map, with what its schedule gives at each place, and limits."""
    more = ("--vary", "poison.doses 2..4", "--json", "--surface", "map.png")
    code, out, _ = run(*WORDS, *more)
    assert code == 0
    told = json.loads(out)["surface"]
    amounts, counts = (axis["values"] for axis in told["axes"])
    assert (amounts[0], amounts[-1], counts) == (1.0, 12.0, [2.0, 3.0, 4.0])
    score = np.array(told["score"])
    assert (np.diff(score, axis=0) > 0.0).all()
    assert (np.diff(score, axis=1) > 0.0).all()
    assert told["best"] == [9.0, 4.0]
    assert np.array(told["kept"]).tolist() == [[a <= 9.0 for a in amounts]] * 3
    assert (tmp_path / "map.png").stat().st_size > 10_000
    code, out, _ = run(*WORDS, "--json", "--surface", "curve.png")
    line = json.loads(out)["surface"]
    same = np.array(line["score"])
    assert same == pytest.approx(score[-1], rel=1e-9)
    assert (tmp_path / "curve.png").stat().st_size > 10_000


def test_a_target_in_words(run):
    words = ("optimise", "poison.toml", "--regimen", "poison 1 mg iv q6h x3", "--patients", "1")
    code, out, _ = run(
        *words, "--vary", "poison.amount 0.1..2 mg", "--target", "poison.total_auc = 0.6 mg*h/L"
    )
    assert code == 0
    assert out.startswith("poison 0.9")
    assert "wanted 0.6, in the typical patient" in out
    assert "poison.daily <= 9 mg" in out


def test_a_fit_gives_draws_and_a_model_none():
    fitted = setting_of("lissoni1995/exposure", 16)
    assert fitted.fitted
    assert fitted.points.shape[1] == len(fitted.problem.names)
    assert fitted.problem.patients.count == 16
    alone = setting_of(str(DATA / "logkill.toml"), 1)
    assert not alone.fitted
    assert alone.problem.patients.count == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (BASE, "--maximise: must be given, or --target, and not both"),
        (
            (*WORDS, "--target", "poison.auc = 1 mg*h/L"),
            "--maximise: must be given, or --target, and not both",
        ),
        ((*WORDS, "--patients", "0"), "--patients: must lie between 1 and 100,000, but is 0."),
        ((*WORDS, "--levels", "-1"), "--levels: must lie between 0 and 100, but is -1."),
        ((*WORDS, "--plot", "front.txt"), "--plot: must be a .png, .svg or .pdf in a folder that exists"),
        ((*WORDS, "--subject-to", "poison.totl <= 3 mg"), "--subject-to: must name an outcome or a quantity"),
        ((*WORDS, "--exceed", "0.2"), "--exceed: must go with a fit, whose posterior has draws"),
        ((*WORDS[:6], "--maximise", "cure"), "--vary: must vary a field of a drug's line"),
    ],
)
def test_faults_are_told_and_nothing_is_computed(run, words, told):
    words = [w.replace("poison.amount", "poison.dosis") if "cure" in words else w for w in words]
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert told in err
    code, out, _ = run(*words, "--json")
    assert code == 2
    assert json.loads(out)["errors"]
