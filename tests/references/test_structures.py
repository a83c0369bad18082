"""Structures against textbooks and papers; the table that is stored says the same."""

import csv

import pytest

from benchmarks import structures
from pkpd.catalogue.structures import COMPONENTS, OUTCOMES

CASES = list(structures.groups())


@pytest.fixture(scope="module")
def table():
    with structures.TABLE.open(encoding="utf-8", newline="") as file:
        return {(row["structure"], row["what"], row["source"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize("group", CASES, ids=lambda group: group.__name__)
def test_cases_are_right_and_those_of_the_table(group, table):
    for case in group():
        assert case.error <= case.tolerance, case
        row = table[case[:3]]
        assert float(row["expected"]) == pytest.approx(case.expected, rel=1e-6), case
        assert float(row["error"]) <= case.tolerance


def test_the_table_holds_nothing_else_and_enough(table):
    known = COMPONENTS.exported() | OUTCOMES.exported()
    assert {structure for structure, *_ in table} <= set(known)
    assert len(table) >= 25
    assert len({source for *_, source in table}) >= 12
