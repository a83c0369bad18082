"""Faults of user input: where, which rule, which value, what to do; all at once."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """One broken rule: `file: place: rule, but is value. hint`."""

    place: str
    rule: str
    value: object = None
    hint: str = ""
    file: str = ""

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.place) if part)
        is_value = "" if self.value is None else f", but is {_show(self.value)}"
        stop = "" if self.rule.endswith(".") and not is_value else "."
        hint = f" {self.hint}" if self.hint else ""
        return f"{where}: {self.rule}{is_value}{stop}{hint}"

    def as_dict(self) -> dict[str, object]:
        """The keys of the JSON error object."""
        value = (
            self.value if isinstance(self.value, (str, int, float, bool, type(None))) else repr(self.value)
        )
        return {"file": self.file, "place": self.place, "rule": self.rule, "value": value, "hint": self.hint}


class InputError(ValueError):
    """Bad input; carries every fault found."""

    def __init__(self, faults: Iterable[Fault]):
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


@dataclass
class Findings:
    """Collects faults of one file, then raises them together."""

    file: str = ""
    faults: list[Fault] = field(default_factory=list)

    def add(self, place: str, rule: str, value: object = None, hint: str = "") -> None:
        self.faults.append(Fault(place, rule, value, hint, self.file))

    def adopt(self, error: InputError, place: str = "") -> None:
        """Take over the faults of a nested check, prefixed with `place`."""
        for fault in error.faults:
            inner = f"{place}.{fault.place}" if place and fault.place else place or fault.place
            self.faults.append(Fault(inner, fault.rule, fault.value, fault.hint, fault.file or self.file))

    def raise_if_any(self) -> None:
        if self.faults:
            raise InputError(self.faults)


def fail(place: str, rule: str, value: object = None, hint: str = "", file: str = "") -> InputError:
    """An `InputError` with a single fault, ready to raise."""
    return InputError([Fault(place, rule, value, hint, file)])


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """`Did you mean "x"?` where an option is close, else the list of options."""
    options = sorted(options)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.6)
    if close:
        return f'Did you mean "{close[0]}"?'
    return f"Known: {', '.join(options)}." if options else ""


def _show(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
