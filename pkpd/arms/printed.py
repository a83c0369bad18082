"""Printed P values of counts, compared with three tests that a paper can have used."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pkpd.arms.table import ArmTable, Count

RULE = "must be a printed P value"
HINT = 'Write "<0.001", "0.047" or "NS", and " v ARM" after it if the study has more than two arms.'
_PRINTED = re.compile(
    r"(?:(?P<below><?)\s*(?P<value>[01]?\.[0-9]{1,9}|[01])|(?P<ns>NS|n\.s\.))(?:\s+v\s+(?P<against>.+))?"
)
Told = tuple[ArmTable, Count]


@dataclass(frozen=True)
class Printed:
    """A printed P value: below `value`, or rounded to it in `digits`, or above 0.05 where `value` is None."""

    below: bool
    value: float | None
    digits: int
    against: str

    def allows(self, p: float) -> bool:
        """Whether a recomputed P value can have been printed so."""
        if self.value is None:
            return p > 0.05
        return p < self.value if self.below else abs(p - self.value) <= 0.5 * 10.0**-self.digits + 1e-12


def read_printed(text: str) -> Printed | None:
    """A cell of `printed_p`; None where it is no P value."""
    match = _PRINTED.fullmatch(text)
    if not match:
        return None
    value, against = match["value"], match["against"] or ""
    if value is None:
        return Printed(False, None, 0, against)
    if float(value) > 1 or (match["below"] and float(value) == 0):
        return None
    return Printed(bool(match["below"]), float(value), len(value.partition(".")[2]), against)


def compared(arm: ArmTable, count: Count, arms: Sequence[ArmTable]) -> list[Told]:
    """The other arms of the study with this endpoint, of which the printed value may name one."""
    printed = read_printed(count.printed_p)
    return [
        (other, theirs)
        for other in arms
        if printed
        and other.study == arm.study
        and printed.against in ("", other.arm)
        and other.arm != arm.arm
        for theirs in other.counts
        if theirs.endpoint == count.endpoint
    ]


def p_values(events: int, n: int, others: int, m: int) -> dict[str, float]:
    """P of `events` of `n` against `others` of `m`, by test; 1 where nobody or everybody has the event."""
    from scipy import stats

    tests: Any = stats  # whose results have no types
    if events + others in (0, n + m):
        return dict.fromkeys(("Pearson", "Yates", "Fisher"), 1.0)
    table = [[events, n - events], [others, m - others]]
    return {
        "Pearson": float(tests.chi2_contingency(table, correction=False).pvalue),
        "Yates": float(tests.chi2_contingency(table, correction=True).pvalue),
        "Fisher": float(tests.fisher_exact(table).pvalue),
    }


def printed_remarks(arms: Sequence[ArmTable]) -> Iterator[str]:
    """A line for each printed P value that no test reproduces; a pair of arms is told once."""
    places = {(arm.study, arm.arm): place for place, arm in enumerate(arms)}
    seen = set()
    for arm in arms:
        for count in arm.counts:
            pair = [(arm, count), *compared(arm, count, arms)]
            if len(pair) != 2:
                continue
            one, two = sorted(pair, key=lambda told: places[told[0].study, told[0].arm])
            remark = _remark(one, two, count.printed_p)
            if remark and remark not in seen:
                seen.add(remark)
                yield remark


def _remark(one: Told, two: Told, text: str) -> str:
    (arm, count), (other, theirs), printed = one, two, read_printed(text)
    if printed is None or count.events is None or theirs.events is None:
        return ""
    recomputed = p_values(count.events, arm.n, theirs.events, other.n)
    if any(printed.allows(p) for p in recomputed.values()):
        return ""
    values = ", ".join(f"{p:.2g} ({test})" for test, p in recomputed.items())
    shares = f"{count.events}/{arm.n} in {arm.arm} v {theirs.events}/{other.n} in {other.arm}"
    told = text.partition(" v ")[0].strip()
    return f"{arm.study}, {count.endpoint}: printed P {told} is not reproduced: {shares} gives {values}."
