"""Values of the tables of a TOML file, each fault told with its place."""

from collections.abc import Iterable, Mapping
from typing import Any

from pkpd.checks import Findings, did_you_mean


def known(content: Mapping[str, Any], keys: Iterable[str], findings: Findings) -> None:
    """Keys that are not known are faults, and so is a schema that is not 1."""
    for key in content:
        if key not in keys:
            findings.add(key, "must be a known key", key, did_you_mean(key, keys))
    if content.get("schema") != 1:
        findings.add("schema", "must be 1", content.get("schema"))


def text(content: Mapping[str, Any], key: str, findings: Findings, default: str | None = None) -> str:
    """The text under a key, empty or `default` where there is none."""
    value = content.get(key, default)
    return value if is_a(value, str, "a text", key, findings) else default or ""


def table(content: Mapping[str, Any], key: str, findings: Findings) -> dict[str, Any]:
    """The table under a key, empty where there is none."""
    value = content.get(key, {})
    return value if is_a(value, dict, "a table", key, findings) else {}


def texts(table: Mapping[str, Any], place: str, findings: Findings) -> dict[str, str]:
    """The entries of a table, which must be texts."""
    return {k: v for k, v in table.items() if is_a(v, str, "a text", f"{place}.{k}", findings)}


def tables(table: Mapping[str, Any], place: str, findings: Findings) -> dict[str, dict[str, Any]]:
    """The entries of a table, which must be tables."""
    return {k: v for k, v in table.items() if is_a(v, dict, "a table", f"{place}.{k}", findings)}


def names(content: Mapping[str, Any], key: str, findings: Findings) -> tuple[str, ...]:
    """The texts of the list under a key, which must hold some."""
    value = content.get(key)
    if not (isinstance(value, list) and value and all(isinstance(each, str) for each in value)):
        findings.add(key, "must be a list of texts", value)
        return ()
    return tuple(value)


def is_a(value: object, kind: type, words: str, place: str, findings: Findings) -> bool:
    """Whether a value is of a kind; a fault where it is not."""
    if not isinstance(value, kind):
        findings.add(place, f"must be {words}", value)
    return isinstance(value, kind)


def numbers(
    table: Mapping[str, Any], defaults: Mapping[str, Any], place: str, findings: Findings, whole: bool
) -> dict[str, Any]:
    """The numbers of a table, by key; `defaults` are the keys that may be there."""
    found = dict(defaults)
    for key, value in table.items():
        kinds, where = int if whole else (int, float), f"{place}.{key}" if place else key
        if key not in defaults:
            findings.add(where, "must be a known key", key, did_you_mean(key, defaults))
        elif isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < 1e9:
            rule = (
                "must be a whole number that is not negative"
                if whole
                else "must be a number that is not negative"
            )
            findings.add(where, rule, value)
        elif whole and key != "seed" and value < 1:
            findings.add(where, "must be at least 1", value)
        else:
            found[key] = value
    return found
