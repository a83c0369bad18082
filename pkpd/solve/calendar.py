"""A course as kinds of day, and the windows over which slow states step."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from pkpd.checks import fail
from pkpd.dosing.events import Events

REST = -1
Run = tuple[int, int]
Past = tuple[int, ...]
MEMORY = 4


class Calendar(NamedTuple):
    """What is concrete about a course.

    `kinds[k]` are the doses that stand for a kind of day, given at `offset` [doses] after the
    day's start. `runs` are pairs (yesterday's kind, today's), `REST` for a day without a dose. Window i
    lasts from `start[i]` to `start[i + 1]` and is of the kind `runs[run[i]]`; its day began at `origin[i]`.
    """

    kinds: tuple[tuple[int, ...], ...]
    offset: np.ndarray
    runs: tuple[Run, ...]
    past: tuple[Past, ...]
    run: np.ndarray
    start: np.ndarray
    origin: np.ndarray


def calendar(
    events: Events, times: Sequence[float], day: float, lags: Mapping[tuple[str, str], float]
) -> Calendar:
    """The calendar of doses, with windows up to the last wanted time; raises `InputError`.

    `lags` are typical lags by route; an infusion must end within its day for a lag four times as long.
    """
    values = _concrete(events)
    nominal = np.asarray(events.nominal)
    phase = _phase(nominal, day)
    date = np.floor((nominal - phase) / day + 1e-9).astype(int)
    offset = values[0] - (phase + date * day)
    lag = np.array([lags.get(route, 0.0) for route in events.route])
    if np.any((offset + values[2] + 4.0 * lag)[values[2] > 0.0] > day * (1.0 + 1e-9)):
        rule = "must not be Daily: an infusion lasts beyond its day, which starts after the longest gap"
        raise fail("solver", rule, hint="Use Multirate or ODE.")
    kinds, kind_of = _kinds(events, date, offset, values)
    first, last = min(kind_of, default=0), max(kind_of, default=-3)
    begin = phase + first * day if kind_of else 0.0
    wanted = np.unique(np.asarray(times, float))
    days = range(first, last + 3)
    end = max(float(wanted.max(initial=0.0)), begin + (len(days) + 1) * day)
    origin, found = _windows(kind_of, days, phase, end, wanted, day)
    runs = tuple(sorted(set(found)))
    run = np.array([runs.index(r) for r in found], int)
    past = tuple(_past(kind_of, r, days) for r in runs)
    return Calendar(kinds, offset, runs, past, run, np.maximum(origin, 0.0), origin)


def _windows(
    kind_of: dict[int, int],
    days: range,
    phase: float,
    end: float,
    wanted: np.ndarray,
    day: float,
) -> tuple[np.ndarray, list[Run]]:
    """Starts of the windows, and their runs: a day each around doses, longer ones elsewhere."""
    starts: list[float] = []
    found: list[Run] = []

    def rest(begin: float, until: float) -> None:
        gap = _gap(begin, until, wanted, day)[:-1]
        starts.extend(gap)
        found.extend([(REST, REST)] * len(gap))

    now = 0.0
    for d in days:
        run = (kind_of.get(d - 1, REST), kind_of.get(d, REST))
        if run != (REST, REST):
            rest(now, phase + d * day)
            starts.append(phase + d * day)
            found.append(run)
            now = phase + (d + 1) * day
    rest(now, end)
    return np.array([*starts, end]), found


def _past(kind_of: dict[int, int], run: Run, days: range) -> Past:
    """Kinds of the days before such a day, the last one first; the most common where they differ."""
    found = Counter(
        tuple(kind_of.get(d - i, REST) for i in range(1, MEMORY + 1))
        for d in days
        if run == (kind_of.get(d - 1, REST), kind_of.get(d, REST))
    )
    return found.most_common(1)[0][0] if found else ()


def _concrete(events: Events) -> list[np.ndarray]:
    try:
        return [np.asarray(v) for v in (events.time, events.amount, events.duration)]
    except jax.errors.TracerArrayConversionError as error:
        raise fail(
            "solver", "must not be Daily for traced doses or gradients in the schedule", hint="Use Multirate."
        ) from error


def _kinds(
    events: Events, date: np.ndarray, offset: np.ndarray, values: list[np.ndarray]
) -> tuple[tuple[tuple[int, ...], ...], dict[int, int]]:
    """Equal days have one kind; the kind by date."""
    doses: dict[int, list] = {}
    for i, d in enumerate(date):
        entry = (events.route[i], round(float(offset[i]), 9), float(values[1][i]), float(values[2][i]))
        doses.setdefault(int(d), []).append((entry, i))
    kinds: dict[tuple, tuple[int, ...]] = {}
    kind_of = {}
    for d, given in doses.items():
        key = tuple(sorted(entry for entry, _ in given))
        kinds.setdefault(key, tuple(i for _, i in given))
        kind_of[d] = list(kinds).index(key)
    return tuple(kinds.values()), kind_of


def _gap(start: float, end: float, wanted: np.ndarray, day: float) -> list[float]:
    """Ends of windows without doses, from a day to a week long and at a wanted time if there is one."""
    if start > end - 1e-9 * day:
        return [start]
    starts, t, length = [start], start, day
    while t < end - 1e-9 * day:
        inside = wanted[(wanted > t + length / 2) & (wanted <= t + length)]
        t = min(float(inside[-1]) if len(inside) else t + length, end)
        starts.append(t)
        length = min(length * 1.25, 7 * day)
    return starts


def _phase(nominal: np.ndarray, day: float) -> float:
    """Where windows start within the day: at the dose that follows the longest gap."""
    clock_times = np.unique(np.round(np.mod(nominal, day), 9))
    if not len(clock_times):
        return 0.0
    gaps = np.diff(np.concatenate([[clock_times[-1] - day], clock_times]))
    return float(clock_times[int(np.argmax(gaps))])
