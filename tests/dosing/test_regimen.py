"""What regimens mean: when doses are given, what the algebra keeps, which objects are refused."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from pkpd.checks import InputError
from pkpd.dosing import Administration, Dose, Regimen, Rest


def times(text: str) -> list[float]:
    return [given.time for given in Regimen.parse(text).administrations()]


def test_the_trial():
    """28 daily doses of each drug (Lissoni 1995, daily for four weeks)."""
    regimen = Regimen.parse("aldesleukin 3 MIU sc q24h x28 + melatonin 40 mg po q24h x28")
    given = regimen.administrations()
    assert regimen.drugs == ("aldesleukin", "melatonin")
    assert regimen.length == 28 * 24
    assert [each.time for each in given] == [24.0 * (k // 2) for k in range(56)]
    assert given[0] == Administration("aldesleukin", 3.0, "MIU", None, "sc", 0.0, 0.0, 0)
    assert given[-1] == Administration("melatonin", 40.0, "mg", None, "po", 648.0, 0.0, 1)


def test_six_days_of_seven():
    """24 doses in four weeks; the seventh day is off, and the part lasts the whole weeks."""
    regimen = Regimen.parse("aldesleukin 3 MIU sc q24h for 28 d on days 1-6 of 7")
    days = [given.time / 24 for given in regimen.administrations()]
    assert days == [day for day in range(28) if day % 7 != 6]
    assert len(days) == 24
    assert regimen.length == 28 * 24


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("a 1 mg po q24h x4 then a 2 mg po q24h x2 then a 3 mg po q12h x5", [0, 96, 144]),
        ("a 1 mg po q24h x4 then rest 20 h then a 2 mg po q24h x2", [0, 116]),
        ("a 1 mg po then a 2 mg po from 10 h", [0, 10]),
    ],
)
def test_sequences_start_where_mrgsolve_starts_them(text: str, starts: list[float]):
    """Starts stated by mrgsolve's tests of `ev_seq` and `ev_rx` (tests/testthat/test-ev.R, test-ev_rx.R)."""
    given = Regimen.parse(text).administrations()
    assert [next(g.time for g in given if g.part == part) for part in range(len(starts))] == starts


def test_sums_merge_in_time_as_in_mrgsolve():
    """`realize_addl` of two overlapping event records in mrgsolve's tests/testthat/test-ev.R."""
    assert times("a 100 mg po q24h x2 + a 200 mg po q24h x4 from 1 h") == [0, 1, 24, 25, 49, 73]


@pytest.mark.parametrize(
    ("text", "given", "length"),
    [
        ("a 1 mg po", [0], 0),
        ("a 1 mg iv over 2 h", [0], 2),
        ("a 1 mg po from 5 h", [5], 5),
        ("a 1 mg po q24h x1", [0], 24),
        ("a 1 mg iv over 30 h q24h x2", [0, 24], 48),
        ("a 1 mg po q8h for 1 d", [0, 8, 16], 24),
        ("a 1 mg po q24h for 30 h", [0, 24], 48),
        ("a 1 mg po q0.1h for 0.3 h", [0, 0.1, 0.2], 0.3),
        ("a 1 mg po q12h for 3 d on days 1,3 of 3 from 6 h", [6, 18, 54, 66], 78),
        ("a 1 mg po q36h for 6 d on days 2 of 2", [36, 72], 144),
        ("a 1 mg po + b 1 mg po q24h x2 + rest 3 d", [0, 0, 24], 72),
        ("(a 1 mg po q24h x2 then rest 1 d) x3", [0, 24, 72, 96, 144, 168], 216),
        ("((a 1 mg po q24h x1) x2 then rest 1 d) x2", [0, 24, 72, 96], 144),
        ("(a 1 mg po from 1 d) x2", [24, 48], 48),
        ("rest 2 d then a 1 mg po", [48], 48),
        ("rest 2 d", [], 48),
        ("none", [], 0),
        ("a 1 mg po at 08:00", [8], 24),
        ("a 1 mg iv over 20 h at 08:30", [8.5], 48),
        ("a 1 mg po q24h x2 at 20:00 then b 1 mg po q24h x2 at 08:00", [20, 44, 56, 80], 96),
        ("a 1 mg po q12h x2 from 7 d at 20:00", [188, 200], 192),
        ("a 1 mg po q12h for 2 d on days 2 of 2 at 20:00", [32, 44], 48),
        ("a 1 mg po at 08:00 then rest 6 d then a 1 mg po at 08:00", [8, 176], 192),
    ],
)
def test_times_and_length(text: str, given: list[float], length: float):
    assert times(text) == pytest.approx(given)
    assert Regimen.parse(text).length == pytest.approx(length)


def test_clock_time_holds_over_cycles():
    regimen = Regimen.parse(
        "(melatonin 40 mg po q24h for 7 d at 20:00"
        " then (aldesleukin 3 MIU sc q24h for 28 d on days 1-6 of 7 at 08:00"
        " + melatonin 40 mg po q24h for 28 d at 20:00)"
        " then rest 21 d) x2"
    )
    given = regimen.administrations()
    assert {(each.drug, each.time % 24) for each in given} == {("aldesleukin", 8.0), ("melatonin", 20.0)}
    assert [each.part for each in given[:9]] == [0, 0, 0, 0, 0, 0, 0, 1, 2]
    assert regimen.length == 2 * 56 * 24
    assert len(given) == 2 * (7 + 24 + 28)


def test_parts_count_doses_in_text_order():
    regimen = Regimen.parse("(a 1 mg po q24h x1 then b 2 mg po q24h x1) x2 + rest 9 d + c 3 mg iv over 1 h")
    assert [(each.part, each.drug, each.time) for each in regimen.administrations()] == [
        (0, "a", 0.0),
        (2, "c", 0.0),
        (1, "b", 24.0),
        (0, "a", 48.0),
        (1, "b", 72.0),
    ]
    assert [dose.drug for dose in regimen.doses] == ["a", "b", "c"]


BLOCKS = [
    Regimen.parse("a 1 mg po q24h x3"),
    Regimen.parse("b 2 mg/kg iv over 2 h q12h for 5 d on days 1,2 of 3 from 6 h"),
    Regimen.parse("a 3 mg po q8h x2 + b 1 mg po q24h x1"),
    Rest(30.0),
    Regimen.none(),
]


def what(regimen: Regimen, delay: float = 0.0) -> list[tuple[str, float, float]]:
    return sorted((each.drug, each.amount, each.time + delay) for each in regimen.administrations())


@pytest.mark.parametrize(("a", "b"), list(itertools.product(BLOCKS, BLOCKS)))
def test_laws_of_two(a: Regimen, b: Regimen):
    assert what(a + b) == sorted(what(a) + what(b))
    assert what(a.then(b)) == sorted(what(a) + what(b, delay=a.length))
    assert (a + b).length == max(a.length, b.length)
    assert a.then(b).length == a.length + b.length
    assert a.then(b).repeat(2).length == 2 * (a.length + b.length)


@pytest.mark.parametrize("combine", [Regimen.__add__, Regimen.then])
def test_sum_and_sequence_are_monoids(combine: Callable[[Regimen, Regimen], Regimen]):
    for a, b, c in itertools.product(BLOCKS, repeat=3):
        assert combine(combine(a, b), c) == combine(a, combine(b, c))
        assert combine(a, Regimen.none()) == a == combine(Regimen.none(), a)


@pytest.mark.parametrize("block", BLOCKS)
def test_repeat_is_a_sequence_of_itself(block: Regimen):
    assert what(block.repeat(3)) == what(block.then(block).then(block))
    assert block.repeat(1) is block


def test_values_are_equal_and_hashable():
    assert Dose("a", 3, "mg", "po", interval=24, count=2) == Dose(
        "a", 3.0, "mg", "po", interval=24.0, count=2
    )
    assert Dose("a", 3, "mg", "po") != Dose("a", 3, "mg", "iv")
    assert Dose("a", 3, "mg", "po", interval=24.0) != Dose("a", 3, "mg", "po")
    assert Dose("a", 1, "mg", "po", interval=24, until=48, days="1 , 2 of 2").days == "1,2 of 2"
    assert len({Rest(24), Rest(24.0), Regimen.none(), Regimen.none()}) == 2


def test_replace_forgets_the_text():
    dose = Regimen.parse("a   3 mg po")
    assert isinstance(dose, Dose)
    assert replace(dose, amount=5).point(0, "amount") == "a 5 mg po\n  ^"


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: Dose("a", -1, "mg", "po"), "amount"),
        (lambda: Dose("a", float("nan"), "mg", "po"), "amount"),
        (lambda: Dose("a", 10**400, "mg", "po"), "amount"),
        (lambda: Dose("two words", 1, "mg", "po"), "drug"),
        (lambda: Dose("then", 1, "mg", "po"), "drug"),
        (lambda: Dose("q10", 1, "mg", "po"), "drug"),
        (lambda: Dose("a", 1, "mg/kg", "po"), "unit"),
        (lambda: Dose("a", 1, "mg", ""), "route"),
        (lambda: Dose("a", 1, "mg", "po", per="lb"), "per"),
        (lambda: Dose("a", 1, "mg", "po", duration=-1), "duration"),
        (lambda: Dose("a", 1, "mg", "po", interval=0), "interval"),
        (lambda: Dose("a", 1, "mg", "po", interval=24, count=0), "count"),
        (lambda: Dose("a", 1, "mg", "po", count=2), "count"),
        (lambda: Dose("a", 1, "mg", "po", interval=24, until=0), "until"),
        (lambda: Dose("a", 1, "mg", "po", until=24), "until"),
        (lambda: Dose("a", 1, "mg", "po", interval=24, count=2, until=24), "count"),
        (lambda: Dose("a", 1, "mg", "po", interval=24, until=24, days="8 of 7"), "days"),
        (lambda: Dose("a", 1, "mg", "po", interval=24, until=24, days="2 of 7"), "days"),
        (lambda: Dose("a", 1, "mg", "po", interval=24, days="1 of 7"), "count"),
        (lambda: Dose("a", 1, "mg", "po", start=float("inf")), "start"),
        (lambda: Dose("a", 1, "mg", "po", clock=24), "clock"),
        (lambda: Dose("a", 1, "mg", "po", clock=1.001), "clock"),
        (lambda: Dose("a", 1, "mg", "po", clock=1, start=1), "start"),
        (lambda: Rest(0), "duration"),
        (lambda: Rest(24).repeat(0), "count"),
        (lambda: Regimen.none().repeat(-1), "count"),
        (lambda: Dose("a", 1, "mg", "po", clock=8) + Dose("b", 1, "mg", "po"), "part 2"),
        (lambda: Dose("a", 1, "mg", "po").then(Dose("b", 1, "mg", "po")), "part 2"),
        (lambda: Dose("a", 1, "mg", "po", interval=1e-9, until=1e6), ""),
        (lambda: Rest(1e6).then(Rest(1e6)), ""),
    ],
)
def test_objects_without_meaning_are_refused(make: Callable[[], Regimen], place: str):
    with pytest.raises(InputError) as caught:
        make()
    assert [fault.place for fault in caught.value.faults] == [place]


def test_all_faults_of_a_dose_are_told():
    with pytest.raises(InputError) as caught:
        Dose("a b", -1, "mg", "po", interval=0, clock=30, per="lb")
    assert [fault.place for fault in caught.value.faults] == ["drug", "per", "amount", "interval", "clock"]


def test_growth_is_refused_before_it_happens():
    regimen = Dose("a", 1, "mg", "po", interval=1, count=100_000)
    with pytest.raises(InputError, match="at most 100,000 administrations"):
        regimen.repeat(10**9)


def test_nesting_is_bounded():
    regimen: Regimen = Rest(1e-12)
    for _ in range(50):
        regimen = regimen.repeat(2)
    with pytest.raises(InputError, match="nested at most 50 deep"):
        regimen.repeat(2)
