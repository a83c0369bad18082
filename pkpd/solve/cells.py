"""A course as cells of few kinds: what of the schedule is static."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from pkpd.dosing.events import Events, Jumps

REACH = 20.0  # a jump is looked for until so many typical delays after its dose was given
ROOM = 0.1  # days by which a dose may differ from its nominal time, for instance because it is traced
NEAR = 1e-9  # days, or shares of a cell; a time so close to another is the same


class Grading(NamedTuple):
    """Panels are dense after a jump: density `1 / (t + inner) + 4 / (4 outer + t)` at the time t after it.

    A `day` after a jump has `per_day` panels.
    """

    per_day: float
    inner: float
    outer: float
    day: float

    @classmethod
    def of(cls, per_day: float, day: float) -> "Grading":
        """The grading for drugs that are absorbed and act within hours."""
        hour = day / 24.0
        return cls(per_day, 0.8 * hour, 4.0 * hour, day)

    @property
    def cells(self) -> int:
        """Cells of a day, several if it has many panels: polynomials over a cell drive the slow states."""
        return max(1, round(self.per_day / 12.0))

    def warped(self, time: Array | np.ndarray | float) -> Array:
        """A time from the jump as `log(1 + time / inner)`."""
        return jnp.log1p(jnp.asarray(time) / self.inner)

    def unwarped(self, warped: Array) -> Array:
        """The time."""
        return self.inner * jnp.expm1(warped)

    def total(self, warped: Array) -> Array:
        """Integral of the density from the jump to a warped time."""
        return warped + 4.0 * jnp.log1p(self.unwarped(warped) / (4.0 * self.outer))

    def slope(self, warped: Array) -> Array:
        """The derivative of `total`."""
        far = 4.0 * self.outer + self.unwarped(warped)
        return 1.0 + 4.0 * self.inner * jnp.exp(warped) / far

    def panels(self, since: float, length: float) -> int:
        """How many panels a stretch has that starts some time after a jump."""
        low, high, day = (self._to(t) for t in (since, since + length, self.day))
        return max(1, math.ceil(self.per_day * (high - low) / day - 1e-6))

    def _to(self, time: float) -> float:
        """Integral of the density from the jump to a time."""
        return math.log1p(time / self.inner) + 4.0 * math.log1p(time / (4.0 * self.outer))


class Kind(NamedTuple):
    """A kind of cell: its length, a cell and jumps that stand for it, and the panels of its segments.

    `since` is the age of the youngest jump before it at its start.
    """

    length: float
    cell: int
    jumps: tuple[int, ...]
    panels: tuple[int, ...]
    since: float


class Plan(NamedTuple):
    """Cell i lasts from `start[i]` to `start[i + 1]`, is of the kind `kinds[kind[i]]` and holds `jumps[i]`,
    in the order of that kind. A jump stands in each cell that its lag may take it to."""

    start: np.ndarray
    kind: np.ndarray
    kinds: tuple[Kind, ...]
    jumps: tuple[tuple[int, ...], ...]


def plan_of(events: Events, jumps: Jumps, times: Sequence[float], grading: Grading) -> Plan:
    """The cells up to the last wanted time: days around doses, longer ones elsewhere; cut at wanted times."""
    day = grading.day
    wanted = np.unique(np.asarray(times, float))
    nominal = np.asarray(jumps.nominal)
    typical = np.asarray(jumps.delay)
    fixed = events.fixed
    room, late = (0.0, 0.0) if fixed else (ROOM * day, events.late)
    given = nominal - typical
    until = given + REACH * typical + late
    start = _cuts(given, until, wanted, day, grading.cells)
    first, last = (_cell_of(start, v, day) for v in (given - room, until + room))
    held: list[list[int]] = [[] for _ in start[:-1]]
    for j in range(len(nominal)):
        for cell in range(first[j], min(last[j], len(held) - 1) + 1):
            held[cell].append(j)
    alike = list(zip(jumps.state, jumps.route, jumps.delay, strict=True))
    kinds: dict[tuple, Kind] = {}
    kind = []
    for cell, inside in enumerate(held):
        inside.sort(key=lambda j: (*alike[j], nominal[j], j))
        begin, length = start[cell], start[cell + 1] - start[cell]
        before = nominal < begin - NEAR * day
        since = max(0.0, float((begin - nominal)[before].min(initial=1e3 * day)) - late)
        offset = [round(float(nominal[j] - begin) / day, 9) for j in inside]
        panels = _panels(inside, nominal - begin, typical + late, jumps, length, since, grading, late)
        key = (
            round(length / day, 9),
            tuple((*alike[j], o) for j, o in zip(inside, offset, strict=True)),
            panels,
        )
        key += (round(since / day, 9) if panels[0] > 1 else 0.0, -1 if fixed or not inside else cell)
        kinds.setdefault(key, Kind(float(length), cell, tuple(inside), panels, since))
        kind.append(list(kinds).index(key))
    return Plan(start, np.array(kind, int), tuple(kinds.values()), tuple(map(tuple, held)))


def _panels(
    inside: Sequence[int],
    offset: np.ndarray,
    lags: np.ndarray,
    jumps: Jumps,
    length: float,
    since: float,
    grading: Grading,
    late: float,
) -> tuple[int, ...]:
    """Panels of each segment, for the typical patient and room for others: lags may cross, and any two doses
    stand further apart where one is `late`."""
    ordered = sorted(inside, key=lambda j: offset[j])
    at = [0.0, *(float(np.clip(offset[j], 0.0, length)) for j in ordered), float(length)]
    lag = [0.0, *(lags[j] for j in ordered), 0.0]
    route = [None, *((jumps.route[j], jumps.delay[j]) for j in ordered), None]
    found = []
    for k in range(len(at) - 1):
        spread = late if route[k] == route[k + 1] and route[k] else max(lag[k], lag[k + 1])
        stretch = min(max(at[k + 1] - at[k], spread), length)
        youngest = min([since + at[k], *(at[k] - t for t in at[1 : k + 1])])
        crosses = 0 < k < len(ordered) and spread > at[k + 1] - at[k]
        found.append(grading.panels(0.0 if crosses else youngest, stretch))
    return tuple(found)


def _cell_of(start: np.ndarray, time: np.ndarray, day: float) -> np.ndarray:
    """The cell in which each time falls, the first for earlier ones."""
    return np.maximum(np.searchsorted(start, time + NEAR * day, side="right") - 1, 0)


def _cuts(first: np.ndarray, last: np.ndarray, wanted: np.ndarray, day: float, parts: int) -> np.ndarray:
    """Ends of the cells; a day around doses has some parts."""
    end = float(wanted.max(initial=0.0))
    phase = _phase(first, wanted, day)
    dates = {
        int(d)
        for a, b in zip(first, last, strict=True)
        for d in np.arange(np.floor((a - phase) / day + NEAR), np.floor((b - phase) / day + NEAR) + 2)
    }
    found = [0.0]
    for d in sorted(dates):
        begin, until = phase + d * day, phase + (d + 1) * day
        _rest(found, min(begin, end), wanted, day)
        if begin < end:
            edges = np.linspace(begin, until, parts + 1)[1:]
            found.extend(min(float(e), end) for e in edges)
    _rest(found, end, wanted, day)
    every = np.unique(np.concatenate([found, wanted[wanted >= 0.0]]))
    keep = np.concatenate([[True], np.diff(every) > NEAR * day])
    return every[keep & (every <= end + NEAR * day)]


def _rest(found: list[float], until: float, wanted: np.ndarray, day: float) -> None:
    """Cells without doses, from a day to a week long; they end at the wanted times on the way."""
    begin = found[-1]
    for edge in (*wanted[(wanted > begin) & (wanted < until)], until):
        while (left := edge - found[-1]) > NEAR * day:
            most = min(day + 0.25 * (found[-1] - begin), 7 * day)
            steps = int(np.ceil(left / most - NEAR))
            found.append(float(edge) if steps <= 1 else found[-1] + left / steps)


def _phase(given: np.ndarray, wanted: np.ndarray, day: float) -> float:
    """Where cells start within the day: where most wanted times are, else most doses."""
    clock = np.round(np.mod(np.concatenate([wanted, given]) / day, 1.0), 9) % 1.0
    values, counts = np.unique(clock, return_counts=True)
    phase = values[np.argmax(counts)] if len(values) else 0.0
    return float(phase * day) - day


class Layout(NamedTuple):
    """Some kinds in arrays of one shape.

    Jumps by state [kinds, slots] (-1 for none), the cells that stand for them, and the segment of each panel
    and where in it the panel begins and ends, as shares of its panels.
    """

    jump: dict[str, np.ndarray]
    start: np.ndarray
    length: np.ndarray
    since: np.ndarray
    segment: np.ndarray
    low: np.ndarray
    high: np.ndarray


def layout_of(plan: Plan, mine: Sequence[int], slots: Mapping[str, int], states: Sequence[str]) -> Layout:
    """The kinds `mine` of a plan with room for `slots` jumps; `states` are those that jumps enter."""
    kinds = [plan.kinds[k] for k in mine]
    width = max(sum(kind.panels) for kind in kinds)
    segment = np.zeros((len(kinds), width), int)
    low, high = np.ones(segment.shape), np.ones(segment.shape)
    jump = {s: np.full((len(kinds), n), -1) for s, n in slots.items()}
    for i, kind in enumerate(kinds):
        counts = np.array(kind.panels)
        each = np.repeat(np.arange(len(counts)), counts)
        place = np.concatenate([np.arange(n) for n in counts])
        segment[i, : len(each)], segment[i, len(each) :] = each, len(counts) - 1
        low[i, : len(each)], high[i, : len(each)] = place / counts[each], (place + 1) / counts[each]
        for s in slots:
            held = [j for j in kind.jumps if states[j] == s]
            jump[s][i, : len(held)] = held
    start = np.array([plan.start[kind.cell] for kind in kinds])
    length, since = np.array([kind.length for kind in kinds]), np.array([kind.since for kind in kinds])
    return Layout(jump, start, length, since, segment, low, high)


def buckets(plan: Plan, most: int = 3) -> list[list[int]]:
    """Kinds in at most some groups, such that padding to the widest of a group costs least over all cells."""
    counts = [sum(kind.panels) for kind in plan.kinds]
    cells = np.bincount(plan.kind, minlength=len(counts))
    widths = sorted(set(counts))
    best: tuple[float, tuple[int, ...]] = (np.inf, ())
    for n in range(min(most, len(widths))):
        for inner in combinations(widths[:-1], n):
            limits = (*inner, widths[-1])
            cost = sum(c * min(w for w in limits if w >= k) for c, k in zip(cells, counts, strict=True))
            cost *= 1.0 + 0.1 * n
            best = min(best, (cost, limits))
    edges = zip((0, *best[1][:-1]), best[1], strict=True)
    return [[k for k, count in enumerate(counts) if low < count <= high] for low, high in edges]
