"""The stored study of the solver's accuracy belongs to today's cases and says what the page says."""

import numpy as np
import pytest

from benchmarks import accuracy
from pkpd.records import load_question, resolve


@pytest.fixture(scope="module")
def rows():
    return accuracy.stored()


def test_cases_are_those_of_today(rows):
    problem = resolve(load_question(accuracy.QUESTION)).problem
    cases = [accuracy.case_of(problem, i) for i in range(accuracy.REGIMENS)]
    assert list(dict.fromkeys(r["digest"] for r in rows)) == [
        accuracy.digest_of(problem, c)[:16] for c in cases
    ]
    for i, case in enumerate(cases):
        assert accuracy.reference_of(i, accuracy.digest_of(problem, case)[:16]).is_file(), i
    assert len(rows) == 2 * accuracy.REGIMENS * accuracy.DRAWS
    assert accuracy.REGIMENS * accuracy.DRAWS >= 200


def test_the_fine_setting_is_exact_to_its_limit_in_every_draw(rows):
    found = accuracy.found_at(rows, accuracy.FINE)
    assert found.worst.max() <= accuracy.LIMITS[accuracy.FINE]


def test_the_usual_setting_is_so_in_every_outcome_and_in_all_but_a_few_states(rows):
    """Three draws of 208 have states beyond it, two of them with both drugs at once; their estimates tell."""
    found, limit = accuracy.found_at(rows, accuracy.USUAL), accuracy.LIMITS[accuracy.USUAL]
    assert found.probabilities.max() <= limit
    assert np.mean(found.worst <= limit) >= 0.98
    assert found.worst.max() < 5.0 * limit


@pytest.mark.parametrize("per_day", accuracy.LIMITS)
def test_estimates_cover_errors(rows, per_day):
    covered = accuracy.found_at(rows, per_day).covered
    assert min(covered.values()) >= 0.95, covered


def test_slopes_are_those_of_the_reference(rows):
    found = accuracy.slopes(rows)
    assert len(found) > 1000
    assert found.max() <= 1e-3


def test_the_page_tells_the_study():
    page = (accuracy.TABLE.parent / "README.md").read_text("utf-8")
    assert "\n".join(accuracy.told()) in page
