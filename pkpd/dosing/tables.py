"""Regimens as nested tables, for TOML and JSON: the fields of `Dose`, with durations and clock times as text.

{ drug = "aldesleukin", amount = 3, unit = "MIU", route = "sc", interval = "24 h", count = 28 }
{ rest = "21 d" }    { none = true }    { together = [...] }    { then = [...] }
{ repeat = {...}, count = 3 }
"""

from collections.abc import Callable, Mapping
from typing import Any

from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.dosing import terms
from pkpd.dosing.language import MAX_DEPTH, Phrase

_TYPES: dict[str, tuple[type, ...]] = {
    "drug": (str,),
    "amount": (int, float),
    "unit": (str,),
    "per": (str,),
    "route": (str,),
    "duration": (str,),
    "interval": (str,),
    "count": (int,),
    "until": (str,),
    "days": (str,),
    "start": (str,),
    "clock": (str,),
}
_NAMES = {str: "text", int: "a whole number", float: "a number"}
_NEEDED = ("drug", "amount", "unit", "route")
_HOURS = ("duration", "interval", "until", "start")
_SPELL: dict[str, Callable[..., str]] = {"clock": terms.clock_text, **dict.fromkeys(_HOURS, terms.hours_text)}
_READ: dict[str, Callable[..., float]] = {"clock": terms.clock_hours, **dict.fromkeys(_HOURS, terms.hours)}
_KEYS = {
    "drug": set(_TYPES),
    "rest": {"rest"},
    "none": {"none"},
    "together": {"together"},
    "then": {"then"},
    "repeat": {"repeat", "count"},
}


def row(told: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a dose from its fields."""
    return {name: _SPELL[name](value) if name in _SPELL else value for name, value in told.items()}


def read(table: Any, found: Findings, path: str, depth: int = 0) -> Phrase:
    """The phrase that nested tables spell; what cannot be read is told to `found`."""
    kind = _kind(table, found, path, depth)
    if kind is None:
        return Phrase("fault")
    for key in sorted(map(str, table.keys() - _KEYS[kind])):
        found.add(path, f"must not have the key {key}", hint=did_you_mean(key, _KEYS[kind]))
    if kind == "drug":
        return _dose(table, found, path)
    if kind == "rest":
        values = _values({"duration": table["rest"]}, found, path)
        return Phrase("rest" if values else "fault", values=values, path=path)
    if kind == "none":
        return Phrase("none", path=path)
    return _compound(kind, table, found, path, depth)


def _kind(table: Any, found: Findings, path: str, depth: int) -> str | None:
    if depth > MAX_DEPTH:
        found.add(path, f"must be nested at most {MAX_DEPTH} deep")
        return None
    if not isinstance(table, Mapping):
        found.add(path, "must be a table", table)
        return None
    kinds = [kind for kind in _KEYS if kind in table]
    if len(kinds) != 1:
        found.add(path, f"must have one of the keys {', '.join(_KEYS)}", ", ".join(map(str, table)))
        return None
    return kinds[0]


def _compound(kind: str, table: Mapping[str, Any], found: Findings, path: str, depth: int) -> Phrase:
    below = [table["repeat"]] if kind == "repeat" else table[kind]
    if not isinstance(below, list | tuple) or not below:
        found.add(f"{path}.{kind}", "must be a list of tables", below)
        return Phrase("fault")
    where = [f"{path}.{kind}"] if kind == "repeat" else [f"{path}.{kind}[{k}]" for k in range(len(below))]
    parts = tuple(read(part, found, at, depth + 1) for part, at in zip(below, where, strict=True))
    values = _values({"count": table.get("count")}, found, path) if kind == "repeat" else {}
    return Phrase("fault" if kind == "repeat" and not values else kind, values=values, parts=parts, path=path)


def _dose(table: Mapping[str, Any], found: Findings, path: str) -> Phrase:
    for name in _NEEDED:
        if name not in table:
            found.add(f"{path}.{name}", "must be given")
    told = {name: table[name] for name in _TYPES if name in table}
    values = _values(told, found, path)
    whole = len(values) == len(told) and set(_NEEDED) <= values.keys()
    return Phrase("dose" if whole else "fault", values=values, path=path)


def _values(told: Mapping[str, Any], found: Findings, path: str) -> dict[str, Any]:
    """The values of the right type, durations and clock times in hours."""
    values = {}
    for name, value in told.items():
        if isinstance(value, bool) or not isinstance(value, _TYPES[name]):
            found.add(f"{path}.{name}", f"must be {_NAMES[_TYPES[name][-1]]}", value)
            continue
        try:
            values[name] = _READ[name](value) if name in _READ else value
        except InputError as error:
            found.adopt(error, f"{path}.{name}")
    return values
