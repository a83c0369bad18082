"""The search for the best schedule: several starts, climbs by gradients, practical steps, neighbours.

Amounts that may be any number are climbed; what has steps is searched from neighbour to neighbour, many at a
time, until none is better. A climb's amounts are rounded to their steps and then searched too.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pkpd.checks import Fault, InputError
from pkpd.explore.climb import Climbed, climb
from pkpd.explore.limits import PLACE, TOLERANCE
from pkpd.explore.space import Point
from pkpd.explore.trials import Trial, Trials

Say = Callable[[str, float], None]

COARSE = 16  # steps of an amount without any while other values are searched
JUMPS = (1, 2, 4, 8)  # steps to a neighbour
PAIRED = 6  # dims at most of which two move at once
EXCHANGES = 12  # between doses, tried at once
ROUNDS = 3  # of neighbours and climbs
SAME = 1e-6  # relative difference of scores that counts as none
DIGITS = 5  # of an amount without steps
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Settings:
    """How many starts and random first points there are, and from which seed."""

    starts: int = 3
    first: int = 24
    seed: int = 0


class Found(NamedTuple):
    """The best trial, whether no neighbour was better and climbs converged, and where starts ended."""

    best: Trial
    converged: bool
    ends: list[float]


class Search:
    """A search of some trials."""

    def __init__(self, trials: Trials, settings: Settings, say: Say):
        self.trials, self.settings, self.say = trials, settings, say
        space = trials.space
        step = space.step
        self.continuous = space.free & np.isnan(step)
        self.step = np.where(np.isnan(step), (space.high - space.low) / COARSE, step)
        self.done = 0
        self.slopes = np.zeros(len(step))

    def tell(self, what: str) -> None:
        self.done += 1
        self.say(f"{what}; {len(self.trials.known)} schedules tried", 1.0 - 0.97**self.done)

    # ---- starts

    def first(self) -> list[Point]:
        """The base, corners and random points, on steps and within the limits on amounts if they can be."""
        space, rng = self.trials.space, np.random.default_rng(self.settings.seed)
        u = rng.uniform(size=(self.settings.first, len(space.low)))
        points = [space.start, space.low, space.high, np.where(space.free, space.high, space.start)]
        points += list(space.low + (space.high - space.low) * u)
        return [self.projected(space.snapped(point)) for point in points]

    def projected(self, point: Point) -> Point:
        """A point with amounts lowered in proportion until the limits on amounts are kept, if they can be."""
        space, allowance = self.trials.space, self.trials.allowance(point)
        if allowance is None or not space.free.any():
            return point
        low, high = space.low[space.free], point[space.free]
        share = allowance.share(low, high)
        if not 0.0 <= share < 1.0:
            return point
        lowered = point.copy()
        lowered[space.free] = low + share * (1.0 - _ROUNDING) * (high - low)
        return self.down(lowered)

    def down(self, point: Point) -> Point:
        """A point with amounts at the step below."""
        space = self.trials.space
        step = space.step
        size = np.where(np.isnan(step), 1.0, step)
        on = space.low + size * np.floor((point - space.low) / size + 1e-9)
        return np.where(space.free & ~np.isnan(step), on, point)

    # ---- neighbours

    def alone(self, point: Point, dims: Sequence[int]) -> Iterator[Point]:
        """Points some steps away in one of the dims."""
        for dim, jump, sign in itertools.product(dims, JUMPS, (1, -1)):
            yield self.moved(point, [(dim, jump * sign)])

    def paired(self, point: Point, dims: Sequence[int]) -> Iterator[Point]:
        """Points one or two steps away in each of two dims, where there are few."""
        for one, other in itertools.combinations(dims if len(dims) <= PAIRED else (), 2):
            for a, b in itertools.product((-2, -1, 1, 2), repeat=2):
                yield self.moved(point, [(one, a), (other, b)])

    def exchanged(self, point: Point, dims: Sequence[int]) -> Iterator[Point]:
        """Points with a step of one amount moved to another, where there are many: those that the slopes of
        the last climb favour most."""
        space, many = self.trials.space, dims if len(dims) > PAIRED else ()
        up = [d for d in many if self.stepped[d] and point[d] < space.high[d]]
        down = [d for d in many if self.stepped[d] and point[d] > space.low[d]]
        pairs = [(a, b) for a, b in itertools.product(up, down) if self.slopes[a] > self.slopes[b]]
        pairs.sort(key=lambda pair: self.slopes[pair[1]] - self.slopes[pair[0]])
        yield from (self.moved(point, [(a, 1), (b, -1)]) for a, b in pairs[:EXCHANGES])

    def moved(self, point: Point, moves: Iterable[tuple[int, int]]) -> Point:
        new = point.copy()
        for dim, count in moves:
            new[dim] += count * self.step[dim]
        return self.trials.space.snapped(new)

    def variants(self, point: Point) -> list[Point]:
        """A point as it is, and with some or all of few amounts as large as limits on amounts let them be."""
        free = np.flatnonzero(self.trials.space.free)
        if not 0 < len(free) <= PAIRED:
            return [point]
        high = self.trials.space.high
        most = [np.where(np.isin(np.arange(len(high)), dims), high, point) for dims in (free, *free[:, None])]
        return [point, *map(self.projected, [point, *most])]

    def local(self, begin: Trial, dims: Sequence[int]) -> Trial:
        """From neighbour to neighbour until none is better; two dims at once if one alone does not help."""
        here = begin
        while dims:
            best = here
            for near in (self.exchanged, self.alone, self.paired):
                asked = [v for p in near(here.point, dims) for v in self.variants(p)]
                best = max(self.trials.ask(asked), key=lambda t: t.merit, default=here)
                self.tell("neighbours")
                if _better(best, here):
                    break
            if not _better(best, here):
                return here
            here = best
        return here

    # ---- climbs

    def climbed(self, begin: Trial) -> tuple[Trial, bool]:
        """The best amounts at the other values of a trial, on their steps or to some digits."""
        found = climb(self.trials, begin.point)
        self.tell("climb by gradients")
        if found is None:
            return begin, True
        self.slopes = found.slopes
        options = self.trials.ask(self.tidied(found), whole=False)
        best = max([*options, begin], key=lambda t: t.merit)
        return best, found.converged

    def tidied(self, found: Climbed) -> list[Point]:
        """The amounts of a climb with few digits and on their steps: rounded, down, and down with steps added
        where the slope is largest while the limits on amounts allow it."""
        space = self.trials.space
        point = np.where(self.continuous, 0.0, found.point)
        near, below = (
            np.where(self.continuous, _digits(found.point, way), point) for way in (np.round, np.floor)
        )
        down = self.down(below)
        return [space.snapped(near), space.snapped(below), down, self.added(down, found.slopes)]

    def added(self, point: Point, slopes: Point) -> Point:
        """Steps added dim by dim, the largest slope first."""
        stepped = [d for d in np.argsort(-slopes) if self.stepped[d] and slopes[d] > 0.0]
        for dim in stepped:
            more = self.moved(point, [(int(dim), 1)])
            if self.trials.allowed(more) >= -TOLERANCE:
                point = more
        return point

    @property
    def stepped(self) -> np.ndarray:
        """Which dims are amounts with steps."""
        return self.trials.space.free & ~self.continuous

    # ---- all together

    def run(self, starts: Sequence[Point] = ()) -> Found:
        """The best of all starts; raises `InputError` where no schedule keeps to the limits."""
        trials = self.trials
        tried = trials.ask([*starts, *self.first()])
        self.tell("starts")
        _check_depends(trials, tried)
        begun = _apart(sorted(tried, key=lambda t: t.merit, reverse=True), trials, self.settings.starts)
        ends = [self.from_start(trial) for trial in begun]
        best = max((trial for trial, _ in ends), key=lambda t: t.merit)
        known = trials.best
        if known is not None and _better(known, best):
            best = known
        if not best.kept:
            raise _infeasible(trials, best)
        return Found(best, all(done for _, done in ends), [trial.score for trial, _ in ends])

    def from_start(self, begin: Trial) -> tuple[Trial, bool]:
        """Neighbours and climbs in turn until neither helps."""
        space = self.trials.space
        wide = len(np.flatnonzero(space.free)) > PAIRED
        dims = [int(d) for d in np.flatnonzero(~(space.free & (self.continuous | wide)))]
        coarse = dims if wide else list(range(len(space.low)))
        here, converged = self.local(begin, coarse), True
        for _ in range(ROUNDS if self.continuous.any() or (wide and self.stepped.any()) else 0):
            climbed, converged = self.climbed(here)
            after = self.local(climbed, dims)
            if wide and self.stepped.any():
                after = self.local(after, [int(d) for d in np.flatnonzero(self.stepped)])
            if not _better(after, climbed) and not _better(climbed, here):
                return after, converged
            here = after
        return here, converged


def _digits(values: Point, way: Callable[..., np.ndarray]) -> Point:
    """Numbers with few significant digits."""
    size = np.where(values > 0.0, values, 1.0)
    unit = 10.0 ** (np.floor(np.log10(size)) - (DIGITS - 1))
    return way(values / unit) * unit


def _better(one: Trial, other: Trial) -> bool:
    (a, score), (b, old) = one.merit, other.merit
    return a > b or (a == b and score > old + SAME * abs(old))


def _apart(ranked: Sequence[Trial], trials: Trials, count: int) -> list[Trial]:
    """Some of the best, no two of which are near each other."""
    space = trials.space
    span, kept = space.high - space.low, list[Trial]()
    for trial in ranked:
        gaps = [np.abs((trial.point - other.point) / span).max() for other in kept]
        if len(kept) < count and min(gaps, default=1.0) > 0.1:
            kept.append(trial)
    return kept


def _check_depends(trials: Trials, tried: Sequence[Trial]) -> None:
    """Raises `InputError` where what is maximised is the same whatever varies."""
    place = trials.place(None)
    values = np.array([t.values[:, place] for t in tried if t.values is not None])
    if len(values) > 1 and np.ptp(values, axis=0).max() < 1e-12:
        rule = "must depend on what varies"
        hint = f"It is {values.mean():.3g} at all {len(values)} schedules that were tried."
        raise InputError([Fault("--maximise", rule, trials.endpoint.outcome, hint)])


def _infeasible(trials: Trials, best: Trial) -> InputError:
    """No schedule keeps to the limits: how near the nearest comes to each."""
    told = []
    for limit in trials.limits:
        if best.values is None and limit.quantity.kind in ("outcome", "exposure"):
            continue
        value = trials.measured(limit.quantity, best.events, best.values)
        if not limit.kept(value):
            hint = f"The nearest schedule has {value:.4g}: {best.regimen}."
            told.append(Fault(PLACE, "must be possible within what varies", str(limit), hint))
    return InputError(told or [Fault(PLACE, "must be possible within what varies")])
