"""Schedules side by side under stored fits."""

import json
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pkpd
from pkpd.checks import InputError
from pkpd.cli.compare import _print as tell
from pkpd.explore.comparison import Under, _Asked, _Told, compare
from pkpd.infer.mode import Mode
from pkpd.infer.predict import thin
from pkpd.plot import plot_schedules
from pkpd.records import load_answer

FIT = "lissoni1995/exposure"
TREATED = "aldesleukin 3 MIU sc q24h x28 + melatonin 40 mg po q24h x28"


@pytest.fixture(scope="module")
def found():
    schedules = {
        "trial": "treated",
        "again": TREATED,
        "none": "none",
        "less": TREATED.replace("3 MIU", "2 MIU"),
    }
    return compare(FIT, schedules, draws=40, others=["lissoni1995/absent"])


def test_arms_of_the_trial_are_as_the_fit_says(found):
    """The stored predictions are those of the whole posterior by another path: tables of counts."""
    rows = load_answer(FIT)[1].content["arms"]
    for row in rows:
        name = {"IL-2 + melatonin": "trial", "supportive care": "none"}.get(row["arm"], row["arm"])
        told = found["schedules"][name]["outcomes"][row["endpoint"]]
        error = (row["hi95"] - row["lo95"]) / 4.0 / np.sqrt(40.0)
        assert told["mean"] == pytest.approx(row["posterior_mean"], abs=4.0 * error)
        assert told["lo95"] == pytest.approx(row["lo95"], abs=0.08)


def test_differences_are_paired(found):
    rows = {(row["schedule"], row["outcome"]): row for row in found["differences"]}
    same = rows["again", "regression"]
    assert (same["mean"], same["lo95"], same["hi95"], same["p_higher"]) == (0.0, 0.0, 0.0, 0.5)
    less = rows["less", "regression"]
    one, other = (found["schedules"][name]["outcomes"]["regression"]["mean"] for name in ("less", "trial"))
    assert less["mean"] == pytest.approx(one - other, abs=1e-12)
    assert less["hi95"] <= 0.0
    assert less["p_higher"] == 0.0


def test_flags_and_exposures(found):
    schedules = found["schedules"]
    assert [one["flag"]["kind"] for one in schedules.values()] == [
        "observed",
        "observed",
        "observed",
        "between",
    ]
    dose, less = (schedules[name]["exposures"]["melatonin"]["auc"] for name in ("trial", "less"))
    assert dose["median"] == pytest.approx(less["median"], rel=1e-9)
    auc = schedules["trial"]["exposures"]["aldesleukin"]["auc"]["median"]
    lower = schedules["less"]["exposures"]["aldesleukin"]["auc"]["median"]
    assert 2.0 / 3.0 < lower / auc < 0.8
    assert schedules["none"]["exposures"]["aldesleukin"]["cmax"] == {
        "median": 0.0,
        "lo95": 0.0,
        "hi95": 0.0,
        "unit": "pmol/L",
    }


def test_the_area_of_a_linear_drug_is_dose_over_clearance(found):
    """Of the typical patient, median over draws: `F D / CL` with the drug's own numbers."""
    question, answer = load_answer(FIT)
    problem = pkpd.records.resolve(question).problem
    draws = thin(answer.draws, 40)
    values = jax.vmap(problem.values)(jnp.asarray(draws))
    model = problem.model
    bioav = np.asarray(values["melatonin.po.bioav"])
    dose = float(pkpd.bind(model, "melatonin 40 mg po").amount[0])
    expected = np.median(28 * bioav * dose / float(model.get("melatonin.cl")))
    assert found["schedules"]["trial"]["exposures"]["melatonin"]["auc"]["median"] == pytest.approx(
        expected, rel=0.1
    )


def test_fits_without_an_answer_are_told(found):
    assert found["unanswered"] == ["lissoni1995/absent"]
    assert found["alternatives"] == []


@pytest.mark.parametrize(
    ("other", "level", "sign"),
    [((0.31, 0.20), False, False), ((0.45, 0.20), True, False), ((0.26, 0.29), True, True)],
)
def test_what_is_undetermined(other, level, sign):
    """Draws of two schedules about 0.3 and 0.2, half of them within 0.02 of it, and another fit's means."""
    values = np.linspace(-0.04, 0.04, 101)[:, None, None] + np.array([0.3, 0.2])[:, None]
    answer: Any = SimpleNamespace(mode=Mode(np.zeros(1), 0.0, 0.0, np.eye(1)))
    schedules: Any = [SimpleNamespace(name="a"), SimpleNamespace(name="b")]
    problem: Any = None
    asked = _Asked(schedules, [], ["regression"], 0)
    beside = {"other": Under(np.array(other)[None, :, None], ["regression"])}
    told = _Told(problem, answer, asked, np.zeros((101, 1)), Under(values, ["regression"]), beside)
    levels = [told._outcome(place, "regression")["undetermined"] for place in (0, 1)]
    assert any(levels) == level
    [difference] = told.differences()
    assert difference["undetermined"] == sign
    assert difference["mean"] == pytest.approx(-0.1)


def test_what_is_printed(found, capsys):
    told = found | {"alternatives": ["other/fit"]}
    tell(told)
    text = " ".join(capsys.readouterr().out.split())
    assert (
        f"again: {TREATED} as an arm of the evidence: exposed as L1995_SCC, IL-2 + melatonin is; in all"
        in text
    )
    assert "in all aldesleukin 84 MIU, melatonin 1.12e+03 mg, 28 injections, 28 dose days of 28." in text
    assert "none: none as an arm of the evidence: exposed as L1995_SCC" in text
    assert "Not answered, so not beside them: lissoni1995/absent" in text
    assert "Other fits: other/fit." in text
    assert "For research, not for treatment decisions." in text


def test_the_picture(found, tmp_path):
    figure = plot_schedules(found)
    figure.savefig(tmp_path / "schedules.png")
    assert len(figure.axes) == 0 or (tmp_path / "schedules.png").stat().st_size > 20_000
    json.dumps(found)


def test_all_faults_at_once():
    wrong = {"a": "treatd", "b": "aldesleukn 3 MIU sc", "c": "aldesleukin 3 MIU sc q24h x400"}
    with pytest.raises(InputError) as told:
        compare(FIT, wrong, outcomes=["regresion"], against="d")
    faults = [str(fault) for fault in told.value.faults]
    assert any(
        'regimen a: must be a regimen, or the name of one of the fit\'s, but is "treatd"' in f for f in faults
    )
    assert any("regimen b" in f and 'Did you mean "aldesleukin"?' in f for f in faults)
    assert any(
        'outcome: must be an outcome of the model, but is "regresion". Did you mean "regression"?' in f
        for f in faults
    )
    assert any('against: must name a schedule, but is "d"' in f for f in faults)


def test_doses_that_come_too_late_are_refused():
    with pytest.raises(InputError, match="must not give doses after 365 day, the last outcome's time"):
        compare(FIT, {"long": "aldesleukin 3 MIU sc q24h x400"})
