"""The stored study of the solver's accuracy belongs to today's cases and says what the page says."""

import csv
import sys

import jax
import numpy as np
import pytest

from benchmarks import accuracy, gpu
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


@pytest.mark.parametrize("part", [accuracy, gpu])
def test_the_page_tells_what_is_stored(part):
    page = (accuracy.TABLE.parent / "README.md").read_text("utf-8")
    assert "\n".join(part.told()) in page


def test_what_a_gpu_finds_is_what_its_host_finds():
    with gpu.TABLE.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["apart"]]
    assert len(rows) >= 3
    for row in rows:
        assert float(row["apart"]) <= {"float64": 1e-12, "float32": 1e-4}[row["precision"]], row


def test_without_a_gpu_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    monkeypatch.setattr(sys, "argv", ["gpu"])
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    before = gpu.TABLE.read_bytes()
    gpu.main()
    assert capsys.readouterr().out == "no GPU: nothing measured\n"
    assert gpu.TABLE.read_bytes() == before
