"""Regimens as text: tokens, grammar, canonical words; what they mean is told in `pkpd.dosing.regimen`.

    regimen  := together { "then" together }
    together := part { "+" part }
    part     := dose | "rest" DURATION | "none" | "(" regimen ")" [ xN ]
    dose     := DRUG AMOUNT UNIT[/kg | /m2] ROUTE { clause }          each clause once, in any order
    clause   := "over" DURATION | qDURATION | xN | "for" DURATION | "on days" DAYS "of" PERIOD
              | "from" DURATION | "at" HH:MM
    DURATION := NUMBER ( min | h | d | wk )

Canonical: one space between words; the clauses in the order above; intervals as `q24h`, whole days from a
week on as `q7d`; other durations in the shortest exact one of d, h, min; days as `1-6 of 7`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pkpd.checks import Fault, Findings, InputError, did_you_mean
from pkpd.dosing import terms

Span = tuple[int, int]

MAX_DEPTH = 50

CLAUSES = {
    "over": "duration",
    "q": "interval",
    "x": "count",
    "for": "until",
    "on": "days",
    "from": "start",
    "at": "clock",
}

_LABELS = {name: f"`{word}`" for word, name in CLAUSES.items()} | {
    "interval": "`qINTERVAL`",
    "count": "`xN`",
    "days": "`on days`",
}
_RESERVED = frozenset({*CLAUSES, "then", "rest", "none", "days", "day", "of"})
_HABITS = {"daily": "q24h", "qd": "q24h", "bid": "q12h", "tid": "q8h", "qid": "q6h", "weekly": "q7d"}
_UNIT_RULE = "must be the unit of the amount, such as mg, MIU or mg/kg"

_TOKEN = re.compile(
    rf"""(?P<clock>[0-9]{{1,2}}:[0-9]{{2}}(?![0-9]))
      | (?P<days>[0-9]++(?:\s*+[-,]\s*+[0-9]++){{0,999}}+\s+of\s+[0-9]+)
      | (?P<number>{terms.NUMBER})
      | (?P<word>[qx](?=-?\.?[0-9])|[^\W\d_][\w-]*(?:/\w*)*)
      | (?P<mark>[+()])
      | (?P<unknown>\S)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """A word of the text, its kind (a group of the token pattern, or `end`) and its place."""

    kind: str
    text: str
    span: Span


@dataclass(frozen=True)
class Phrase:
    """A node as read: `dose rest none together then repeat`, or `fault` where it could not be.

    `places`: spans of its words in the text (the whole under ""); `path`: its place in nested tables.
    """

    kind: str
    span: Span = (0, 0)
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)
    parts: tuple["Phrase", ...] = ()
    depth: int = 0
    path: str = ""

    def leaves(self) -> Iterator["Phrase"]:
        """The doses in text order."""
        if self.kind == "dose":
            yield self
        for part in self.parts:
            yield from part.leaves()

    def spot(self, place: str) -> tuple["Phrase", str]:
        """The phrase and its field that the place of a fault means; `part 2` is the second dose."""
        if place.startswith("part "):
            return list(self.leaves())[int(place.removeprefix("part ")) - 1], ""
        return self, place

    def label(self, place: str) -> str:
        """What a field of this phrase is called in the language."""
        return "`rest`" if self.kind == "rest" else _LABELS.get(place, f"the {place}" if place else "")


def tokens(text: str) -> list[Token]:
    """The words of a regimen text, closed by an empty one of kind `end`."""
    found = [Token(match.lastgroup or "", match.group(), match.span()) for match in _TOKEN.finditer(text)]
    end = len(text.rstrip())
    return [*found, Token("end", "", (end, end))]


def is_name(text: str) -> bool:
    """Whether a drug, unit or route can be called so: one word, not one of the grammar's, without `/`."""
    words = tokens(text)
    return len(words) == 2 and words[0].text == text and _is_free(words[0])


def _is_free(token: Token) -> bool:
    return token.kind == "word" and token.text not in _RESERVED and "/" not in token.text


def point(text: str, span: Span) -> str:
    """Two lines: the line of `text` that holds `span` (clipped where long), and carets under the span."""
    start, end = span
    first = text.rfind("\n", 0, start) + 1
    last = (text + "\n").find("\n", start)
    left = first if last - first <= 120 else max(first, start - 60)
    right = min(last, max(left + 120, min(end, left + 160)))
    before, after = "…" * (left > first), "…" * (right < last)
    line = "".join(char if char.isprintable() else " " for char in text[left:right])
    return (
        f"{before}{line}{after}\n{' ' * (len(before) + start - left)}{'^' * max(1, min(end, right) - start)}"
    )


def fault_at(text: str, span: Span, rule: str, hint: str = "") -> Fault:
    """A fault of a regimen text; its hint shows the place."""
    word = text[slice(*span)]
    rule = rule if word else f"{rule}, but the text ends here"
    return Fault(
        "regimen", rule, word if 0 < len(word) <= 60 else None, f"{hint or 'Here:'}\n{point(text, span)}"
    )


def dose_text(told: Mapping[str, Any]) -> str:
    """The canonical text of a dose from its fields, those at their defaults left out."""
    unit = f"{told['unit']}/{told['per']}" if "per" in told else told["unit"]
    words = [f"{told['drug']} {terms.number_text(told['amount'])} {unit} {told['route']}"]
    if "duration" in told:
        words.append(f"over {terms.hours_text(told['duration'])}")
    if "interval" in told:
        words.append(f"q{terms.hours_text(told['interval'], days_from=168.0, joint='')}")
        words.append(
            f"for {terms.hours_text(told['until'])}" if "until" in told else f"x{told.get('count', 1)}"
        )
    if "days" in told:
        words.append(f"on days {told['days']}")
    if "start" in told:
        words.append(f"from {terms.hours_text(told['start'])}")
    if "clock" in told:
        words.append(f"at {terms.clock_text(told['clock'])}")
    return " ".join(words)


def read(text: str, found: Findings) -> Phrase:
    """The phrase that a regimen text spells; what cannot be read is told to `found`."""
    parser = _Parser(text, found)
    if parser.is_too_deep():
        return Phrase("fault", (0, 0))
    phrase = parser.regimen()
    if parser.here.kind != "end":
        parser.report(parser.here.span, "must close a parenthesis that was opened")
    return phrase


class _UnreadableError(Exception):
    """The current part cannot be read further; the fault is reported already."""


class _Parser:
    """Recursive descent; a part that breaks a rule is skipped to the next `+`, `then` or `)`."""

    def __init__(self, text: str, found: Findings):
        self.text, self.found = text, found
        self.tokens, self.index = tokens(text), 0

    @property
    def here(self) -> Token:
        return self.tokens[self.index]

    def take(self) -> Token:
        token = self.here
        self.index += token.kind != "end"
        return token

    def report(self, span: Span, rule: str, hint: str = "") -> None:
        self.found.faults.append(fault_at(self.text, span, rule, hint))

    def stop(self, span: Span, rule: str, hint: str = "") -> NoReturn:
        self.report(span, rule, hint)
        raise _UnreadableError

    def expect(self, kind: str, rule: str, hint: str = "") -> Token:
        if self.here.kind != kind:
            self.stop(self.here.span, rule, hint)
        return self.take()

    def is_too_deep(self) -> bool:
        depth = 0
        for token in self.tokens:
            depth += (token.text == "(") - (token.text == ")")
            if depth > MAX_DEPTH:
                self.report(token.span, f"parentheses must be nested at most {MAX_DEPTH} deep")
                return True
        return False

    def at_border(self) -> bool:
        return self.here.kind == "end" or self.here.text in ("+", "then", ")")

    def regimen(self) -> Phrase:
        chain = [[self.part()]]
        while self.here.text in ("+", "then"):
            if self.take().text == "then":
                chain.append([])
            chain[-1].append(self.part())
        return self.join("then", [self.join("together", parts) for parts in chain])

    def join(self, kind: str, parts: list[Phrase]) -> Phrase:
        if len(parts) == 1:
            return parts[0]
        return self.node(Phrase(kind, (parts[0].span[0], parts[-1].span[1]), parts=tuple(parts)))

    def node(self, phrase: Phrase) -> Phrase:
        depth = 1 + max(part.depth for part in phrase.parts)
        if depth > MAX_DEPTH:
            self.report(phrase.span, f"must be nested at most {MAX_DEPTH} deep")
            return Phrase("fault", phrase.span)
        return Phrase(phrase.kind, phrase.span, phrase.values, phrase.places, phrase.parts, depth)

    def part(self) -> Phrase:
        start = self.here.span
        read = {"(": self.group, "none": self.none, "rest": self.rest}.get(self.here.text, self.dose)
        try:
            phrase = read()
            if not self.at_border():
                self.stop(self.here.span, "must be `+`, `then`, `)` or the end", _hint(self.here.text))
        except _UnreadableError:
            self.skip()
            return Phrase("fault", start)
        return phrase

    def skip(self) -> None:
        """On to the next border outside any parenthesis that opens on the way."""
        depth = 0
        while self.here.kind != "end" and (depth or not self.at_border()):
            depth += (self.here.text == "(") - (self.here.text == ")")
            self.take()

    def group(self) -> Phrase:
        opening = self.take().span
        inside = self.regimen()
        if self.here.kind == "end":
            self.stop(opening, "must be closed by `)`")
        self.take()
        if self.here.text != "x":
            return inside
        count, place = self.count(self.take().span[0])
        return self.node(
            Phrase("repeat", (opening[0], place[1]), {"count": count}, {"count": place}, (inside,))
        )

    def none(self) -> Phrase:
        return Phrase("none", self.take().span)

    def rest(self) -> Phrase:
        value, place = self.duration(self.take().span[0])
        return Phrase("rest", place, {"duration": value}, {"duration": place})

    def dose(self) -> Phrase:
        drug = self.name("must be a dose (DRUG AMOUNT UNIT ROUTE ...), `rest`, `none` or `(`")
        amount = self.number("the amount must be a number", also=("nan", "inf", "infinity"))
        unit = self.expect("word", _UNIT_RULE)
        name, *per = unit.text.split("/")
        if len(per) > 1 or not set(per) <= terms.PER.keys():
            self.stop(
                unit.span, "the unit must be a word, or a word per kg or m2", "Time belongs to `q` or `over`."
            )
        if name in _RESERVED:
            self.stop(unit.span, _UNIT_RULE)
        route = self.name("the route must be a word such as sc, iv or po")
        values = {"drug": drug.text, "amount": float(amount.text), "unit": name, "route": route.text}
        values |= {"per": terms.PER[per[0]]} if per else {}
        places = {"drug": drug.span, "amount": amount.span, "unit": unit.span, "route": route.span}
        self.clauses(values, places)
        places[""] = (drug.span[0], self.tokens[self.index - 1].span[1])
        return Phrase("dose", places[""], values, places)

    def clauses(self, values: dict[str, Any], places: dict[str, Span]) -> None:
        while not self.at_border():
            if self.here.text not in CLAUSES:
                rule = "must be `over`, `q`, `x`, `for`, `on days`, `from`, `at`, `+`, `then` or the end"
                self.stop(self.here.span, rule, _hint(self.here.text))
            word = self.take()
            name = CLAUSES[word.text]
            rival = {"count": "until", "until": "count"}.get(name, name)
            if name in values or rival in values:
                self.stop(word.span, "must be given once, and only one of `xN` and `for`")
            values[name], places[name] = self.clause(name, word.span[0])
        if "interval" in values and not {"count", "until"} & values.keys():
            self.stop(places["interval"], "must be followed by `xN` or `for DURATION`")

    def clause(self, name: str, start: int) -> tuple[Any, Span]:
        if name == "count":
            return self.count(start)
        if name == "days":
            return self.days(start)
        if name == "clock":
            return self.clock(start)
        return self.duration(start)

    def name(self, rule: str) -> Token:
        if not _is_free(self.here):
            self.stop(self.here.span, rule, _hint(self.here.text))
        return self.take()

    def number(self, rule: str, also: tuple[str, ...] = ()) -> Token:
        if self.here.text.lower() in also:
            return self.take()
        token = self.expect("number", rule)
        if len(token.text) > terms.NUMBER_LENGTH:
            self.stop(token.span, f"a number must have at most {terms.NUMBER_LENGTH} characters")
        return token

    def count(self, start: int) -> tuple[int, Span]:
        number = self.number("`x` must be followed by a number, as in x28")
        place = (start, number.span[1])
        if not float(number.text).is_integer():
            self.stop(place, f"`xN` {terms.COUNT_RULE}")
        return int(float(number.text)), place

    def duration(self, start: int) -> tuple[float, Span]:
        number = self.number("must be a duration, such as 24 h or 7 d").text
        unit = self.here
        if unit.text not in terms.TIME:
            self.stop(unit.span, "the unit of time must be min, h, d or wk")
        return terms.to_hours(number, self.take().text), (start, unit.span[1])

    def clock(self, start: int) -> tuple[float, Span]:
        time = self.expect("clock", "must be a time of day, such as 08:00")
        try:
            return terms.clock_hours(time.text), (start, time.span[1])
        except InputError:
            self.stop(time.span, terms.CLOCK_RULE)

    def days(self, start: int) -> tuple[str, Span]:
        if self.here.text not in ("days", "day"):
            self.stop(self.here.span, "`on` must be followed by `days`, as in `on days 1-6 of 7`")
        self.take()
        pattern = self.expect("days", "must be a pattern of days, such as 1-6 of 7")
        return pattern.text, (start, pattern.span[1])


def _hint(word: str) -> str:
    low = word.lower()
    if low in _HABITS or re.match("[QX][0-9]", word):
        return f'Did you mean "{_HABITS.get(low, low)}"?'
    hint = did_you_mean(low, _RESERVED)
    return hint if hint.startswith("Did") and len(word) > 2 and word not in _RESERVED else ""
