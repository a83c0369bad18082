"""Regimens as nested tables: TOML in, all faults out with their place."""

import tomllib

import pytest

from pkpd.checks import InputError
from pkpd.dosing import Regimen


def test_tables_read_from_toml():
    table = tomllib.loads("""
        [[then]]
        [[then.together]]
        drug = "aldesleukin"
        amount = 3
        unit = "MIU"
        route = "sc"
        interval = "24 h"
        count = 28
        clock = "08:00"
        [[then.together]]
        drug = "melatonin"
        amount = 40
        unit = "mg"
        per = "m2"
        route = "po"
        duration = "5 min"
        interval = "24 h"
        until = "4 wk"
        days = "1-6 of 7"
        start = "7 d"
        clock = "20:00"
        [[then]]
        rest = "21 d"
    """)
    assert str(Regimen.from_table(table)) == (
        "aldesleukin 3 MIU sc q24h x28 at 08:00 + "
        "melatonin 40 mg/m2 po over 5 min q24h for 28 d on days 1-6 of 7 from 7 d at 20:00 then rest 21 d"
    )


def test_tables_tell_all_faults_with_their_place():
    table = {
        "then": [
            {"drug": "a", "amount": -1, "unit": "mg", "route": "sc", "interval": "0 h"},
            {"drug": "a", "amount": "3", "unit": "mg", "intervall": "24 h"},
            {"repeat": {"rest": "1 day"}, "count": 0.5},
            {"together": []},
            {"rest": "1 d", "none": True},
            "rest 1 d",
            {"repeat": {"drug": "a", "amount": 1, "unit": "mg", "route": "sc", "clock": "25:00"}, "count": 2},
        ]
    }
    with pytest.raises(InputError) as caught:
        Regimen.from_table(table)
    places = {fault.place.removeprefix("regimen.then") for fault in caught.value.faults}
    assert places == {
        "[0].amount",
        "[0].interval",
        "[1]",
        "[1].amount",
        "[1].route",
        "[2].repeat.duration",
        "[2].count",
        "[3].together",
        "[4]",
        "[5]",
        "[6].repeat.clock",
    }
    assert 'Did you mean "interval"?' in str(caught.value)


def test_tables_too_deep_are_refused():
    table: dict[str, object] = {"rest": "1 d"}
    for _ in range(2000):
        table = {"repeat": table, "count": 1}
    with pytest.raises(InputError, match="nested at most 50 deep"):
        Regimen.from_table(table)
