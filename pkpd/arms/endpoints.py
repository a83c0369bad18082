"""The names of endpoints: what each counts or reports, and which columns it reads."""

import re
from dataclasses import dataclass

from pkpd.arms.cells import LONGEST, TIME_HINT, TIME_RULE, days_of
from pkpd.arms.rows import OF_ROW, Row
from pkpd.checks import Findings, did_you_mean

RESPONSES = {
    "CR": "cr",
    "PR": "pr",
    "SD": "sd",
    "PD": "pd",
    "CR+PR": "regression",
    "CR+PR+SD": "disease_control",
}
READS = {
    "count": ("events", "printed_p"),
    "km": ("time", "value", "events"),
    "median_survival": ("time",),
    "hr": ("time", "value", "se"),
    "mean": ("time", "value", "se"),
}
OPTIONAL = ("events", "printed_p")
PATTERNS = ("alive(90 d)", "hr(ARM)", "mean(OUTPUT)")


@dataclass(frozen=True)
class Endpoint:
    """A name taken apart: its `kind` is a key of `READS`, `of` the arm or the output in brackets.

    Of counts: the outcome, when it is looked at (`alive` only), and which best responses it counts.
    """

    name: str
    kind: str
    outcome: str = ""
    days: float | None = None
    members: tuple[str, ...] = ()
    of: str = ""


NAMED = {
    **{
        name: Endpoint(name, "count", outcome, members=tuple(name.lower().split("+")))
        for name, outcome in RESPONSES.items()
    },
    "surv_1y": Endpoint("surv_1y", "count", "alive", 365.0),
    "surv_3y": Endpoint("surv_3y", "count", "alive", 1095.0),
    "ps_improved": Endpoint("ps_improved", "count", "ps_improved"),
    "km": Endpoint("km", "km"),
    "median_survival": Endpoint("median_survival", "median_survival"),
}


def read_endpoint(row: Row, findings: Findings) -> Endpoint | None:
    """The row's endpoint; a name that is not known and cells that it does not read are faults."""
    endpoint = _named(row, findings)
    if endpoint is None:
        return None
    reads = READS[endpoint.kind]
    for column in OF_ROW:
        if row[column] and column not in reads:
            hint = f"It reads {' and '.join(reads)}."
            findings.add(row.place(column), f"must be empty for {endpoint.name}", row[column], hint)
        if not row[column] and column in reads and column not in OPTIONAL:
            findings.add(row.place(column), f"must not be empty for {endpoint.name}")
    return endpoint


def _named(row: Row, findings: Findings) -> Endpoint | None:
    name = row["endpoint"]
    if name in NAMED:
        return NAMED[name]
    match = re.fullmatch(r"(alive|hr|mean)\(\s*(.+?)\s*\)", name)
    if match and match[1] == "alive":
        return _alive(row, match[2], findings)
    if match:
        return Endpoint(f"{match[1]}({match[2]})", match[1], of=match[2])
    if name:
        hint = did_you_mean(name, (*NAMED, *PATTERNS))
        findings.add(row.place("endpoint"), "must be a known endpoint", name, hint)
    return None


def _alive(row: Row, text: str, findings: Findings) -> Endpoint | None:
    found = days_of(text)
    if found and found <= LONGEST:
        return Endpoint(f"alive({text})", "count", "alive", found)
    when = "must be alive at a time after 0 and within 100 y"
    rule = when if found is not None else f"{TIME_RULE} in brackets"
    findings.add(row.place("endpoint"), rule, row["endpoint"], TIME_HINT)
    return None
