"""The regimen language: reading, canonical text, round trips, and faults that point into the text."""

import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.checks import InputError
from pkpd.dosing import Dose, Regimen, Rest

TRIAL = "aldesleukin 3 MIU sc q24h x28 + melatonin 40 mg po q24h x28"


def faults(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        Regimen.parse(text)
    assert {fault.place for fault in caught.value.faults} == {"regimen"}
    return [str(fault) for fault in caught.value.faults]


def underlined(message: str) -> str:
    """What the carets of a message stand under."""
    line, carets = message.splitlines()[-2:]
    assert set(carets) <= {" ", "^"}
    return line[carets.index("^") : len(carets)]


Recipe = tuple[Any, ...]


@st.composite
def doses(draw: st.DrawFn, clocked: bool) -> Recipe:
    told: dict[str, Any] = {
        "duration": draw(st.floats(0, 1e3)),
        "per": draw(st.sampled_from([None, "kg", "m2"])),
    }
    if clocked:
        told |= {"clock": draw(st.integers(0, 24 * 60 - 1)) / 60, "start": 24 * draw(st.integers(0, 9))}
    else:
        told["start"] = draw(st.one_of(st.floats(0, 1e3), st.integers(0, 500)))
    kind = draw(st.sampled_from(["once", "count", "until", "days"]))
    if kind != "once":
        told["interval"] = draw(st.sampled_from([1 / 3, 4.1, 8, 12, 24, 24 / 7, 36, 168, 672]))
    if kind == "count":
        told["count"] = draw(st.integers(1, 40))
    if kind in ("until", "days"):
        told["until"] = draw(st.one_of(st.integers(1, 90), st.floats(1e-3, 90)))
    if kind == "days":
        period = draw(st.integers(1, 20))
        days = {1} | draw(st.sets(st.integers(1, period)))
        told["days"] = f"{','.join(map(str, sorted(days)))} of {period}"
    drug = draw(st.sampled_from(["aldesleukin", "il-2", "Drug_1", "xeno", "β-x"]))
    unit = draw(st.sampled_from(["mg", "MIU", "ug", "µg", "nmol", "IU"]))
    return "dose", (drug, draw(st.floats(0, 1e300)), unit, draw(st.sampled_from(["sc", "iv", "po"]))), told


def nested(parts: st.SearchStrategy[Recipe]) -> st.SearchStrategy[Recipe]:
    return st.one_of(
        st.tuples(st.just("together"), parts, parts),
        st.tuples(st.just("then"), parts, parts),
        st.tuples(st.just("repeat"), parts, st.integers(1, 5)),
    )


def recipes() -> st.SearchStrategy[Recipe]:
    rests = st.tuples(st.just("rest"), st.integers(1, 60).map(lambda days: 24 * days))
    quiet = st.one_of(rests, st.just(("none",)))
    return st.booleans().flatmap(
        lambda clocked: st.recursive(st.one_of(doses(clocked), doses(clocked), quiet), nested, max_leaves=8)
    )


def cooked(recipe: Recipe) -> Regimen:
    """The regimen of a recipe; a combination that a rule forbids is left at its first part."""
    kind, *parts = recipe
    if kind == "dose":
        words, told = parts
        return Dose(*words, **told)
    if kind in ("rest", "none"):
        return Rest(parts[0]) if parts else Regimen.none()
    first = cooked(parts[0])
    try:
        if kind == "repeat":
            return first.repeat(parts[1])
        second = cooked(parts[1])
        return first + second if kind == "together" else first.then(second)
    except InputError:
        return first


@settings(max_examples=100)
@given(recipes())
def test_object_to_text_to_object_is_the_identity(recipe: Recipe):
    regimen = cooked(recipe)
    again = Regimen.parse(str(regimen))
    assert again == regimen
    assert hash(again) == hash(regimen)
    assert str(again) == str(regimen)
    assert again.administrations() == regimen.administrations()


@settings(max_examples=100)
@given(recipes())
def test_object_to_table_to_object_is_the_identity(recipe: Recipe):
    regimen = cooked(recipe)
    assert Regimen.from_table(json.loads(json.dumps(regimen.to_table()))) == regimen
    assert pickle.loads(pickle.dumps(regimen)) == regimen


def test_generated_regimens_use_the_whole_language():
    unseen = {
        " + ",
        " then ",
        ") x",
        "rest",
        "none",
        " at ",
        "on days",
        " for ",
        "/kg",
        "over",
        "from",
        ") + ",
    }

    @settings(max_examples=100)
    @given(recipes())
    def look(recipe: Recipe) -> None:
        text = str(cooked(recipe))
        unseen.difference_update([word for word in unseen if word in text])

    look()
    assert not unseen


WORDS = (
    "a mg/kg sc 3 -1 0.5 q24h q0h x2 x over 2 h d for on days 1-6 of 7 from at 08:00 + then rest none ( ) $ ,"
)


def outcome(text: str) -> tuple[str, list[str]]:
    """The canonical text, or the messages."""
    try:
        return str(Regimen.parse(text)), []
    except InputError as error:
        return "", [str(fault) for fault in error.faults]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(WORDS.split()), max_size=25))
def test_any_text_is_read_or_refused(words: list[str]):
    canonical, messages = outcome("a 3 mg sc " + " ".join(words))
    assert bool(canonical) != bool(messages)
    assert all(underlined(message) is not None for message in messages)
    assert not canonical or outcome(canonical) == (canonical, [])


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (TRIAL, TRIAL),
        ("a 3MIU sc q 24 h x 28", "a 3 MIU sc q24h x28"),
        ("a 3e6 IU sc q1d x2", "a 3000000 IU sc q24h x2"),
        ("a 0.5 mg/kg iv over 90 min", "a 0.5 mg/kg iv over 1.5 h"),
        ("a 1 mg/m² iv over 20 min", "a 1 mg/m2 iv over 20 min"),
        ("a 1 mg po q4wk x2", "a 1 mg po q28d x2"),
        ("a 1 mg po q48h for 2 wk", "a 1 mg po q48h for 14 d"),
        ("a 1 mg po from 168 h at 8:05", "a 1 mg po from 7 d at 08:05"),
        ("a 1 mg po q24h for 14 d on day 1 of 7", "a 1 mg po q24h for 14 d on days 1 of 7"),
        (
            "a 1 mg po q24h for 14 d on days 6, 3,2,1,5,5 - 6 of 7",
            "a 1 mg po q24h for 14 d on days 1-3,5,6 of 7",
        ),
        ("a 1 mg po on days 1-5,8 of 14 for 28 d q24h", "a 1 mg po q24h for 28 d on days 1-5,8 of 14"),
        ("rest 504 h", "rest 21 d"),
        ("((a 0 mg po))", "a 0 mg po"),
        ("none + a 1 mg po then none", "a 1 mg po"),
        ("(none) x3 then none + none", "none"),
        ("(a 1 mg po + b 2 mg po) + c 3 mg po", "a 1 mg po + b 2 mg po + c 3 mg po"),
        ("(rest 1 d then rest 2 d) then rest 3 d", "rest 1 d then rest 2 d then rest 3 d"),
        ("(a 1 mg po then rest 1 d) + b 2 mg po", "(a 1 mg po then rest 1 d) + b 2 mg po"),
        ("(a 1 mg po + b 2 mg po) then rest 1 d", "a 1 mg po + b 2 mg po then rest 1 d"),
        ("(a 1 mg po q8h x3)\n  x2", "(a 1 mg po q8h x3) x2"),
        ("(a 1 mg po q8h x3) x1", "a 1 mg po q8h x3"),
    ],
)
def test_text_is_made_canonical(text: str, canonical: str):
    assert str(Regimen.parse(text)) == canonical
    assert str(Regimen.parse(canonical)) == canonical
    assert Regimen.parse(text) == Regimen.parse(canonical)


def test_fields_of_a_dose():
    read = Regimen.parse("il-2 0.5 MIU/m2 iv over 2 h q12h for 14 d on days 1-5 of 7 from 7 d at 20:30")
    made = Dose("il-2", 0.5, "MIU", "iv", 2, 12, until=336, days="1-5 of 7", start=168, clock=20.5, per="m2")
    assert read == made


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("a 3 mg sc daily", "daily", 'Did you mean "q24h"?'),
        ("a 3 mg sc Q24H x2", "Q24H", 'Did you mean "q24h"?'),
        ("a 3 mg sc frm 2 d", "frm", 'Did you mean "from"?'),
        ("a 3 mg sc b 3 mg sc", "b", "must be `over`"),
        ("rest 3 d b", "b", "must be `+`"),
        ("a mg sc", "mg", "amount must be a number"),
        ("a -3 mg sc", "-3", "amount must be a finite number of at least 0"),
        ("a nan mg sc", "nan", "amount must be a finite number"),
        ("a inf mg sc", "inf", "amount must be a finite number"),
        ("a 1e999 mg sc", "1e999", "amount must be a finite number"),
        ("a 3 sc", " ", "the text ends here"),
        ("a 3 mg q24h x2", "q", "route must be a word"),
        ("a 3 mg/h iv", "mg/h", "per kg or m2"),
        ("a 3,000 mg iv", ",", "must be the unit"),
        ("a " + 41 * "9" + " mg iv", 41 * "9", "at most 40 characters"),
        ("a 3 mg sc q0h x3", "q0h", "must be more than 0"),
        ("a 3 mg sc q-1h x3", "q-1h", "must be more than 0"),
        ("a 3 mg sc q24 x3", "x", "unit of time must be"),
        ("a 3 mg sc over 2 days", "days", "unit of time must be"),
        ("a 3 mg sc q24h", "q24h", "`xN` or `for DURATION`"),
        ("a 3 mg sc x3", "x3", "must go with an interval"),
        ("a 3 mg sc for 3 d", "for 3 d", "must go with an interval"),
        ("a 3 mg sc q24h x0", "x0", "whole number of at least 1"),
        ("a 3 mg sc q24h x2.5", "x2.5", "whole number of at least 1"),
        ("a 3 mg sc q24h x-2", "x-2", "whole number of at least 1"),
        ("a 3 mg sc q24h x3 for 3 d", "for", "only one of `xN` and `for`"),
        ("a 3 mg sc q24h q12h x3", "q", "must be given once"),
        ("a 3 mg sc q24h for 7 d on days 0 of 7", "on days 0 of 7", "days from 1 to the period"),
        ("a 3 mg sc q24h for 7 d on days 8 of 7", "on days 8 of 7", "days from 1 to the period"),
        ("a 3 mg sc q24h for 7 d on days 3-2 of 7", "on days 3-2 of 7", "days from 1 to the period"),
        ("a 3 mg sc q24h for 7 d on days 1 of 9999", "on days 1 of 9999", "at most 1000"),
        ("a 3 mg sc q24h for 7 d on days 1-2-3 of 7", "on days 1-2-3 of 7", "must be a pattern of days"),
        ("a 3 mg sc q24h for 7 d on days 1-6", "1", "must be a pattern of days"),
        ("a 3 mg sc q24h for 7 d on Monday", "Monday", "must be followed by `days`"),
        ("a 3 mg sc q24h for 3 d on days 6 of 7", "on days 6 of 7", "nothing is given"),
        ("a 3 mg sc q24h x6 on days 1-6 of 7", "x6", "must give way to `for DURATION`"),
        ("a 3 mg sc at 25:00", "25:00", "from 00:00 to 23:59"),
        ("a 3 mg sc at 12:60", "12:60", "from 00:00 to 23:59"),
        ("a 3 mg sc at noon", "noon", "must be a time of day"),
        ("a 3 mg sc from 12 h at 08:00", "from 12 h", "whole days where `at` is given"),
        ("a 3 mg sc at 08:00 + b 3 mg po", "b 3 mg po", "must have `at`"),
        ("a 3 mg sc then b 3 mg po", "b 3 mg po", "must start later than the dose before it"),
        ("(a 3 mg sc) x2", "a 3 mg sc", "must start later than the dose before it"),
        ("a 1 mg sc q8h x4 at 08:00 then b 1 mg po at 08:00", "b 1 mg po at 08:00", "It would start at 32 h"),
        ("(a 1 mg sc q8h x4 at 08:00) x2", "x2", "must repeat whole days"),
        ("(a 3 mg sc", "(", "must be closed"),
        ("a 3 mg sc)", ")", "must close a parenthesis"),
        ("()", ")", "must be a dose"),
        ("a 3 mg sc +", " ", "the text ends here"),
        ("a 3 mg sc then", " ", "the text ends here"),
        ("+ a 3 mg sc", "+", "must be a dose"),
        ("then a 3 mg sc", "then", "must be a dose"),
        ("rest", " ", "must be a duration"),
        ("rest 0 d", "rest 0 d", "`rest` must be more than 0"),
        ("rest 1e9 d", "rest 1e9 d", "at most 1,000,000 h"),
        ("(rest 900 d) x1000", "(rest 900 d) x1000", "must last at most 1,000,000 h"),
        ("(none) x0", "x0", "whole number of at least 1"),
        ("a 3 mg sc q1h x100001", "a 3 mg sc q1h x100001", "at most 100,000 administrations"),
        ("a 3 mg sc q1min for 1000000 h", "a 3 mg sc q1min for 1000000 h", "at most 100,000 administrations"),
        ("(a 3 mg sc q1h x1000) x101", "(a 3 mg sc q1h x1000) x101", "at most 100,000 administrations"),
        ("$ 3 mg sc", "$", "must be a dose"),
    ],
)
def test_one_fault_points_at_its_word(text: str, at: str, said: str):
    (message,) = faults(text)
    assert said in message
    assert (underlined(message) or " ") == at
    assert text in message


@pytest.mark.parametrize("text", ["", "  \n "])
def test_empty_text_is_refused(text: str):
    assert faults(text) == ['regimen: must not be empty. Write "none" where nothing is given.']


def test_all_parts_tell_their_faults():
    found = faults(
        "a -1 mg sc q0h x0 + (b 3 mg then c x mg po) x2 then d 1 mg po nightly + e 1 mg po at 24:00"
    )
    assert sorted(map(underlined, found)) == sorted(["-1", "q0h", "x0", "then", "x", "nightly", "24:00"])


def test_mixed_clocks_point_at_every_part_without():
    found = faults("a 1 mg sc at 08:00 + b 2 mg po + (c 3 mg po then rest 1 d) x2")
    assert list(map(underlined, found)) == ["b 2 mg po", "c 3 mg po"]


@pytest.mark.parametrize(
    "text",
    [
        "(" * 51 + "rest 1 d" + ")" * 51,
        "(" * 26 + "a 1 mg sc q1h x1" + " + b 1 mg sc then rest 1 h)" * 26,
    ],
)
def test_deep_nesting_is_refused(text: str):
    (message,) = faults(text)
    assert "nested at most 50 deep" in message


def test_fifty_levels_are_read():
    assert Regimen.parse("(" * 50 + "rest 1 d" + ")" * 50) == Rest(24)
    regimen = Regimen.parse("(" * 50 + "rest 1 min" + ") x1" * 49 + ") x2")
    assert regimen.length == pytest.approx(2 / 60)


def test_long_text_is_refused_unread():
    (message,) = faults("(" * 10_001)
    assert message == "regimen: must have at most 10000 characters, but is 10001."


def test_point_shows_the_word_in_the_text_as_typed():
    regimen = Regimen.parse("a 3MIU sc\n+  melatonin 40 mg/kg po q24h x2")
    assert regimen.point(0, "unit") == "a 3MIU sc\n   ^^^"
    assert regimen.point(1, "drug") == "+  melatonin 40 mg/kg po q24h x2\n   ^^^^^^^^^"
    assert underlined(regimen.point(1, "amount")) == "40"
    assert underlined(regimen.point(1, "unit")) == "mg/kg"
    assert underlined(regimen.point(1, "route")) == "po"
    assert underlined(regimen.point(1, "interval")) == "q24h"
    assert underlined(regimen.point(1, "start")) == "melatonin 40 mg/kg po q24h x2"


def test_point_uses_the_canonical_text_of_what_was_made():
    made = Dose("a", 3, "MIU", "sc") + Dose("b", 40, "mg", "po")
    assert made.point(1, "unit") == "a 3 MIU sc + b 40 mg po\n                  ^^"
    changed = Regimen.parse("a   3 MIU sc") + Dose("b", 40, "mg", "po")
    assert changed.point(0, "amount") == "a 3 MIU sc + b 40 mg po\n  ^"


def test_point_clips_a_long_text():
    regimen = Regimen.parse(" + ".join(f"drug{k} {k} mg po" for k in range(100)))
    text, carets = regimen.point(50, "drug").splitlines()
    assert len(text) < 130
    assert text[carets.index("^") : len(carets)] == "drug50"


def test_spans_take_no_part_in_equality():
    typed, spaced = Regimen.parse("a 3 mg sc"), Regimen.parse("  a 3   mg sc")
    assert typed == spaced == Dose("a", 3, "mg", "sc")
    assert len({typed, spaced, Dose("a", 3, "mg", "sc")}) == 1
    assert typed.administrations() == spaced.administrations()
    assert spaced.administrations()[0].span == (2, 13)
    assert Dose("a", 3, "mg", "sc").administrations()[0].span is None
