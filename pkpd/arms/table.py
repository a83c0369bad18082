"""What a table of arms says, as plain data: counts and reports of each arm."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Count:
    """One endpoint of an arm: `events` of the arm's patients (None: to be predicted), days for `alive`.

    `members` are the kinds of best response that are counted, in lower case, () for any other outcome;
    `printed_p` is the P value that the paper prints for it, as typed.
    """

    endpoint: str
    outcome: str
    days: float | None
    events: int | None
    members: tuple[str, ...] = ()
    printed_p: str = ""
    approximate: ClassVar[bool] = False


@dataclass(frozen=True)
class Curve:
    """A published Kaplan-Meier curve: `survival` and the number `at_risk` at each of `days`."""

    days: tuple[float, ...]
    survival: tuple[float, ...]
    at_risk: tuple[int, ...]
    approximate: ClassVar[bool] = False

    @property
    def endpoint(self) -> str:
        """Its name in the table."""
        return "km"


@dataclass(frozen=True)
class Median:
    """A median survival in days; what is printed means that it lies from `low` to `high`."""

    days: float
    low: float
    high: float
    approximate: ClassVar[bool] = True

    @property
    def endpoint(self) -> str:
        """Its name in the table."""
        return "median_survival"


@dataclass(frozen=True)
class Ratio:
    """A hazard ratio of the arm over the arm `against`, `se` of its logarithm, followed for `days`."""

    against: str
    value: float
    se: float
    days: float
    approximate: ClassVar[bool] = True

    @property
    def endpoint(self) -> str:
        """Its name in the table."""
        return f"hr({self.against})"


@dataclass(frozen=True)
class Mean:
    """The mean of a model's output over the arm's patients, and its standard error, both in `unit`."""

    output: str
    value: float
    se: float
    unit: str
    days: float
    approximate: ClassVar[bool] = False

    @property
    def endpoint(self) -> str:
        """Its name in the table."""
        return f"mean({self.output})"


Report = Curve | Median | Ratio | Mean


@dataclass(frozen=True)
class ArmTable:
    """One arm of a study as the table states it.

    `weight` from 0 to 1 is the power-prior weight of the arm; `excludes` names studies, or arms as
    `study/arm`, that contain the same patients; studies of one `pool` may share patients. `places` are those
    that are not in the arm's first line.
    """

    study: str
    arm: str
    regimen: str
    n: int
    counts: tuple[Count, ...]
    weight: float
    source: str
    place: str
    reports: tuple[Report, ...] = ()
    histology: str = ""
    role: str = ""
    pool: str = ""
    excludes: tuple[str, ...] = ()
    population: str = ""
    places: Mapping[str, str] = field(default_factory=dict, compare=False)

    def place_of(self, what: str) -> str:
        """Where an endpoint or a column is said, for messages."""
        return self.places.get(what, f"{self.place}, {what}")

    @property
    def full_name(self) -> str:
        """The arm as `excludes` and weights name it."""
        return f"{self.study}/{self.arm}"

    def excluded_by(self, other: "ArmTable") -> bool:
        """Whether another arm excludes this one, or its study."""
        return self.study in other.excludes or self.full_name in other.excludes

    @property
    def numbers(self) -> dict[str, object]:
        """What was counted or reported, by endpoint; rows to be predicted are left out."""
        counted: dict[str, object] = {c.endpoint: c.events for c in self.counts if c.events is not None}
        return counted | {report.endpoint: report for report in self.reports}
