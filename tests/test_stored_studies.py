"""Results that are stored beside the files of long studies belong to today's questions, and what they say."""

import pytest

from pkpd.catalogue import shipped
from pkpd.records import load_sealed, load_study

FILES = {path.stem: path for path in sorted(shipped("fits").glob("*/studies/*.toml"))}
STORED = [name for name, path in FILES.items() if path.with_suffix(".json").is_file()]
OPEN: set[str] = set()


def test_every_study_was_run_or_is_known_to_be_open():
    assert set(FILES) == set(STORED) | OPEN
    assert not OPEN & set(STORED)


@pytest.fixture(scope="module")
def stored():
    """What is stored of a study, by its name."""
    return lambda name: load_sealed(load_study(FILES[name]))


@pytest.mark.parametrize("name", STORED)
def test_what_is_stored_is_whole_and_of_todays_question(stored, name):
    told = stored(name)
    assert told["items"] == load_study(FILES[name]).items
    assert FILES[name].with_suffix(".png").is_file()


def test_posteriors_are_calibrated(stored):
    told = stored("calibration")
    assert told["sets"] == told["items"] == 200
    assert told["calibrated"]
    assert len(told["quantities"]) == 15
    assert all(0.9 <= row["held95"] <= 0.99 for row in told["quantities"])


def test_a_likelihood_that_counts_twice_is_found_out(stored):
    """By more than its own rank, which is of another likelihood than the truth's."""
    told = stored("calibration_control")
    assert told["sets"] == told["items"] == 200
    assert not told["calibrated"]
    failed = [row for row in told["quantities"] if not row["uniform"] and row["quantity"] != "log likelihood"]
    assert len(failed) >= 5
    assert all(row["held95"] < 0.9 for row in failed)


def test_normal_approximations_miss_what_the_page_says(stored):
    """More often than by chance, which would hold 918 of 1,000 truths or more in nearly all such studies."""
    told = stored("calibration_laplace")
    assert told["sets"] == told["converged"] == told["items"] == 1000
    weighed = told["weighed"]
    assert weighed["sets"] == 480
    assert [sum(not row["uniform"] for row in some["quantities"]) for some in (told, weighed)] == [9, 6]
    for some, low, high in ((told, 0.85, 0.99), (weighed, 0.85, 0.95)):
        held = [round(row["held95"], 2) for row in some["quantities"]]
        assert (min(held), max(held)) == (low, high)
    treated = [row for row in told["quantities"] if "melatonin " in row["quantity"]]
    assert len(treated) == 3
    assert {round(row["held95"], 2) for row in treated} == {0.85, 0.86}


def test_there_is_one_mode(stored):
    told = stored("starts")
    assert told["statuses"]["converged"] == told["items"] == 200
    assert [end["starts"] for end in told["ends"]] == [200]
    assert abs(told["ends"][0]["below"]) < 1e-6


def test_what_the_page_says_of_arms_is_what_was_found(stored):
    told = stored("influence")
    assert told["statuses"]["converged"] == told["items"]
    shifts = {row["alternative"]: row["shifts"] for row in told["alternatives"]}
    treated, control = (shifts[f"without L1995_SCC/{arm}"] for arm in ("IL-2 + melatonin", "supportive care"))
    found = {name: round(treated[name], 1) for name in ("ps_improved.b_effect", "survival.b_effect")}
    assert found == {"ps_improved.b_effect": -1.1, "survival.b_effect": -0.8}
    assert round(treated["tumour.kkill"], 1) == 0.6
    assert round(control["ps_improved.b0"], 1) == 0.9
    for arm in (treated, control):
        assert all(
            abs(v) < 0.2 for name, v in arm.items() if name.startswith(("aldesleukin", "melatonin", "pot"))
        )


def test_refits_spread_as_the_posterior_does(stored):
    """As far as it is normal: no standard deviation differs by a seventh."""
    told = stored("bootstrap")
    assert told["statuses"]["converged"] >= 0.99 * told["items"]
    for row in told["parameters"]:
        assert row["sd"] == pytest.approx(row["posterior_sd"], rel=1 / 7), row["parameter"]
