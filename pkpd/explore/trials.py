"""Schedules that were tried: what is maximised of them, and how they keep to limits."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from jaxtyping import Float

from pkpd.checks import InputError
from pkpd.dosing import Regimen
from pkpd.dosing.events import Events
from pkpd.explore.chances import Chances
from pkpd.explore.exposed import Exposed
from pkpd.explore.goal import Goal
from pkpd.explore.limits import TOLERANCE, Limit
from pkpd.explore.quantities import Quantity, of_amounts
from pkpd.explore.space import Point, Space
from pkpd.explore.timetable import Allowance, Timetable, timetable_of
from pkpd.model import Model
from pkpd.response.joint import Endpoint
from pkpd.simulation import bind

_DIGITS = 12
_UNKNOWN = 1e6  # by which slack without probabilities comes after any


@dataclass(frozen=True)
class Trial:
    """A point of a space, its schedule, and probabilities [draws, endpoints], none where it was not worth it.

    `slack` is the least over the limits, relative to each; negative where one is not kept.
    """

    point: Point
    slack: float
    made: Callable[[], tuple[Regimen, Events]] = field(repr=False, compare=False)
    values: Float[np.ndarray, "draws endpoints"] | None = None
    score: float = -np.inf

    @cached_property
    def _schedule(self) -> tuple[Regimen, Events]:
        return self.made()

    @property
    def regimen(self) -> Regimen:
        """The schedule as a regimen."""
        return self._schedule[0]

    @property
    def events(self) -> Events:
        """The schedule as doses in the model's units."""
        return self._schedule[1]

    @property
    def kept(self) -> bool:
        """Whether it keeps to all limits."""
        return self.values is not None and self.slack >= -TOLERANCE

    @property
    def merit(self) -> tuple[float, float]:
        """What is compared: how far it keeps to the limits, those on amounts first; then its score."""
        kept = min(self.slack + TOLERANCE, 0.0)
        return (kept, self.score) if self.values is not None else (kept - _UNKNOWN, self.score)


@dataclass
class Trials:
    """All that was tried of a space, for a goal under limits."""

    model: Model
    space: Space
    goal: Goal
    endpoint: Endpoint
    limits: tuple[Limit, ...]
    chances: Chances
    exposed: Exposed
    known: dict[tuple[float, ...], Trial] = field(default_factory=dict)
    planned: dict[tuple[float, ...], Any] = field(default_factory=dict)

    def under(self, limits: Sequence[Limit]) -> "Trials":
        """The same under other limits; probabilities that are known stay known."""
        other = dataclasses.replace(self, limits=tuple(limits), known={}, planned={})
        for key, trial in self.known.items():
            if trial.values is not None:
                slack = other.slack(trial.events, trial.values)
                other.known[key] = dataclasses.replace(trial, slack=slack)
        return other

    def place(self, endpoint: Endpoint | None) -> int:
        """Where an endpoint stands among those of the probabilities."""
        return self.chances.endpoints.index(self.endpoint if endpoint is None else endpoint)

    def ask(self, points: Iterable[Point], *, whole: bool = False) -> list[Trial]:
        """The trials of points that make a regimen; those that pass a limit on amounts are not computed,
        unless on the `whole`."""
        found: dict[tuple[float, ...], Trial | None] = {}
        for point in points:
            key = tuple(np.round(point, _DIGITS).tolist())
            if key not in found:
                found[key] = self.known.get(key) or self._begun(point)
        begun = {k: t for k, t in found.items() if t is not None}
        new = [k for k, t in begun.items() if t.values is None and (whole or t.slack >= -TOLERANCE)]
        values = self.chances.values([begun[k].events for k in new]) if new else ()
        for key, own in zip(new, values, strict=True):
            trial = begun[key]
            score = self.goal.score(own[:, self.place(None)])
            slack = self.slack(trial.events, own)
            begun[key] = dataclasses.replace(trial, values=own, score=score, slack=slack)
        self.known |= begun
        return list(begun.values())

    def _begun(self, point: Point) -> Trial | None:
        slack = self.allowed(point)
        return None if slack == -np.inf else Trial(point, slack, partial(self._made, point))

    def _made(self, point: Point) -> tuple[Regimen, Events]:
        regimen = self.space.regimen(point)
        return regimen, bind(self.model, regimen)

    def timetable(self, point: Point) -> Timetable | None:
        """The doses of a point as a function of its amounts; None where it is no regimen."""
        return self._planned(point)[0]

    def allowance(self, point: Point) -> Allowance | None:
        """What limits say of a point's amounts; None where it is no regimen."""
        return self._planned(point)[1]

    def _planned(self, point: Point) -> tuple[Timetable | None, Allowance | None]:
        key = tuple(np.round(point[~self.space.free], _DIGITS).tolist())
        if key not in self.planned:
            try:
                timetable = timetable_of(self.model, self.space, point)
                self.planned[key] = timetable, Allowance(self.model, timetable, self.limits)
            except InputError:
                self.planned[key] = None, None
        return self.planned[key]

    def allowed(self, point: Point) -> float:
        """The least slack of limits on amounts and counts; minus infinity where a point is no regimen."""
        allowance = self.allowance(point)
        return -np.inf if allowance is None else allowance.slack(point[self.space.free])

    def slack(self, events: Events, values: np.ndarray | None = None) -> float:
        """The least slack of the limits; without probabilities of those on amounts and counts."""
        simple = ("amount", "count")
        asked = [x for x in self.limits if values is not None or x.quantity.kind in simple]
        return min((x.slack(self.measured(x.quantity, events, values)) for x in asked), default=np.inf)

    def measured(self, quantity: Quantity, events: Events, values: np.ndarray | None) -> float:
        """A quantity of a schedule in its unit; of an outcome the mean over draws."""
        if quantity.kind == "outcome":
            assert values is not None
            return float(values[:, self.place(quantity.endpoint)].mean()) / quantity.factor
        if quantity.kind == "exposure":
            return self.exposed.value(quantity, events)
        return of_amounts(self.model, quantity, events)

    @property
    def best(self) -> Trial | None:
        """The best that keeps to all limits."""
        kept = [trial for trial in self.known.values() if trial.kept]
        return max(kept, key=lambda trial: trial.score, default=None)
