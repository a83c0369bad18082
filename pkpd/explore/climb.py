"""The best amounts of a timetable, by gradients through the schedule.

Sequential quadratic programming with exact slopes of the expectation, under the same patients and draws at
every step. Limits on amounts are linear in them, one for each window of time.

References: Kraft D. DFVLR-FB 88-28, 1988 (SLSQP, as scipy has it).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from pkpd.explore.limits import Limit
from pkpd.explore.quantities import windows
from pkpd.explore.space import Point
from pkpd.explore.timetable import Timetable
from pkpd.explore.trials import Trials

STEPS = 60
FLAT = 1e-7  # relative change of the score at which a climb ends


class Climbed(NamedTuple):
    """Where a climb ended, whether it converged, and the slope of the score by each dim, 0 where it is not
    an amount."""

    point: Point
    converged: bool
    slopes: Point


@dataclass
class _Climb:
    """A climb: functions of amounts as shares of their range, each known where it was asked last."""

    trials: Trials
    course: Timetable
    low: np.ndarray
    span: np.ndarray
    ends: tuple[int, ...]
    scale: float = 1.0
    last: tuple[Any, ...] = field(default_factory=tuple)

    def amounts(self, u: np.ndarray) -> np.ndarray:
        return self.low + self.span * u

    def outcomes(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [draws, ends], and their slopes by `u` [draws, ends, free]."""
        if not self.last or not np.array_equal(self.last[0], u):
            found = self.trials.chances.slopes(self.course.at(self.amounts(u)), self.ends)
            self.last = u.copy(), found.values, found.slopes @ self.course.matrix * self.span
        return self.last[1], self.last[2]

    def score(self, u: np.ndarray) -> tuple[float, np.ndarray]:
        values, slopes = self.outcomes(u)
        own = values[:, 0]
        goal = self.trials.goal
        return goal.score(own), goal.weights(own) @ slopes[:, 0]

    def cost(self, u: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = self.score(u)
        return -value / self.scale, -slope / self.scale

    def slack(self, limit: Limit) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Slacks of a limit, none negative where it is kept, and their slopes."""
        sign = (1.0 if limit.sign == "<=" else -1.0) / limit.scale
        kinds = {"amount": self._linear, "exposure": self._exposed, "outcome": self._expected}
        value, slope = kinds[limit.quantity.kind](limit)
        return lambda u: sign * (limit.value - value(u)), lambda u: -sign * slope(u)

    def _linear(self, limit: Limit) -> tuple[Callable[..., Any], Callable[..., Any]]:
        rows = windows(self.trials.model, limit.quantity, self.course.events) / limit.quantity.factor
        if limit.sign == ">=" and len(rows) > 1:
            return self._largest(rows)
        slopes = rows @ self.course.matrix * self.span
        return (lambda u: rows @ self._doses(u)), (lambda u: slopes)

    def _largest(self, rows: np.ndarray) -> tuple[Callable[..., Any], Callable[..., Any]]:
        def slope(u: np.ndarray) -> np.ndarray:
            return rows[[np.argmax(rows @ self._doses(u))]] @ self.course.matrix * self.span

        return (lambda u: np.atleast_1d((rows @ self._doses(u)).max())), slope

    def _doses(self, u: np.ndarray) -> np.ndarray:
        return self.course.amounts(self.amounts(u))

    def _exposed(self, limit: Limit) -> tuple[Callable[..., Any], Callable[..., Any]]:
        def both(u: np.ndarray) -> tuple[float, np.ndarray]:
            return self.trials.exposed.sloped(limit.quantity, self.course.at(self.amounts(u)))

        return (lambda u: np.atleast_1d(both(u)[0])), (
            lambda u: (both(u)[1] @ self.course.matrix * self.span)[None]
        )

    def _expected(self, limit: Limit) -> tuple[Callable[..., Any], Callable[..., Any]]:
        place = self.ends.index(self.trials.place(limit.quantity.endpoint))
        share = limit.quantity.factor

        def value(u: np.ndarray) -> np.ndarray:
            return np.atleast_1d(self.outcomes(u)[0][:, place].mean() / share)

        return value, lambda u: self.outcomes(u)[1][:, place].mean(axis=0)[None] / share


def climb(trials: Trials, start: Point, steps: int = STEPS) -> Climbed | None:
    """The best amounts from a start, at its other values; None where nothing given varies."""
    space, course = trials.space, trials.timetable(start)
    if course is None or not course.matrix.any():
        return None
    free = space.free
    limits = [limit for limit in trials.limits if limit.quantity.kind != "count"]
    told = [limit.quantity.endpoint for limit in limits if limit.quantity.kind == "outcome"]
    ends = tuple(dict.fromkeys([trials.place(None), *map(trials.place, told)]))
    run = _Climb(trials, course, space.low[free], (space.high - space.low)[free], ends)
    u = (start[free] - run.low) / run.span
    run.scale = max(abs(run.score(u)[0]), 1e-6)
    rules = [dict(zip(("fun", "jac"), run.slack(limit), strict=True)) | {"type": "ineq"} for limit in limits]
    options = {"maxiter": steps, "ftol": FLAT}
    done = minimize(
        run.cost,
        u,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(u),
        constraints=rules,
        options=options,
    )
    point, slopes = start.copy(), np.zeros(len(start))
    end = np.clip(done.x, 0.0, 1.0)
    point[free], slopes[free] = run.amounts(end), run.score(end)[1] / run.span
    return Climbed(point, bool(done.success), slopes)
