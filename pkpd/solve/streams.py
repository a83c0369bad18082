"""Doses that keep a clock: which of them enter alike, and where wanted times stand among its ticks."""

from functools import reduce
from typing import NamedTuple

import jax
import numpy as np

from pkpd.dosing.events import Events
from pkpd.model import Model
from pkpd.parameters import Scalar

SAME = 16.0  # units of rounding of the largest time: times so close are the same


class Stream(NamedTuple):
    """Doses that enter alike, and wanted times, on one clock.

    `dose` are places among the events and `tick` the number of the tick of each [doses]; the doses are by the
    inlet of a number, and infusions where they are `lasting`. Of wanted times `since` are the distinct times
    after a tick [columns], more than 0 and at most a period; `column` and `last`, the number of that tick or
    -1, are those of each [times]. `largest` is the largest of all times, whose rounding is that of the rest.
    """

    route: tuple[str, str]
    inlet: int
    lasting: float
    dose: np.ndarray
    tick: np.ndarray
    period: float
    since: np.ndarray
    column: np.ndarray
    last: np.ndarray
    largest: float

    @property
    def ticks(self) -> int:
        """How many ticks come before the last of the wanted times."""
        return int(self.last.max()) + 1

    @property
    def work(self) -> int:
        """How many flows are computed, and ticks passed."""
        return len(self.since) + self.ticks


def streams_of(model: Model, events: Events, times: np.ndarray) -> list[Stream] | None:
    """The streams that make up the doses. None where a clock does not help: where times are not numbers or
    follow no clock, or where there is as much work as from each time or dose to the next."""
    if not (len(times) and events.fixed and _starts_empty(model)):
        return None
    alike: dict[tuple[tuple[str, str], bool], list[int]] = {}
    for i, route in enumerate(events.route):
        alike.setdefault((route, bool(events.lasting[i])), []).append(i)
    found = []
    for (route, _), doses in alike.items():
        lasting = {events.lasting[i] for i in doses}
        on = _clock(np.array([events.nominal[i] for i in doses]), times)
        if on is None or len(lasting) > 1:
            return None
        (lasts,), each = lasting, range(len(model.entries(*route)))
        found += [Stream(route, inlet, lasts, np.array(doses), *on) for inlet in each]
    return found if sum(s.work for s in found) < len(times) + sum(len(s.dose) for s in found) else None


def _starts_empty(model: Model) -> bool:
    """Whether all states are zero before any dose, whatever the parameters."""
    with jax.ensure_compile_time_eval():
        return all(is_zero(v) for v in model.initial().values())


def is_zero(value: Scalar) -> bool:
    """Whether it is zero for all patients, and that is known before a program runs."""
    try:
        return not np.any(np.asarray(value))
    except jax.errors.TracerArrayConversionError:
        return False


def _clock(doses: np.ndarray, times: np.ndarray) -> tuple | None:
    """Ticks of doses, and where times stand among them; None without a common divisor of the gaps.

    A single dose has a period that ends beyond all times.
    """
    largest = max(np.abs(doses).max(), np.abs(times).max())
    near = SAME * np.finfo(float).eps * largest
    first, last = doses.min(), doses.max()
    gaps = [gap for gap in np.diff(np.sort(doses)) if gap > near]
    period = max(times.max(), last) - first + 1.0
    if gaps:
        count = round((last - first) / reduce(lambda a, b: _divisor(a, b, near), gaps))
        period = (last - first) / count
    tick = np.round((doses - first) / period).astype(int)
    if np.any(np.abs(doses - first - tick * period) > near):
        return None
    return tick, float(period), *_columns(times - first, period, near), float(largest)


def _divisor(a: float, b: float, near: float) -> float:
    """The greatest common divisor of two gaps."""
    while b > near:
        a, b = b, abs(a - b * round(a / b))
    return a


def _columns(times: np.ndarray, period: float, near: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct times since a tick, the place of each time among them, and its last tick.

    A time at a tick comes before what is given then: its last tick is the one before.
    """
    last = np.ceil((times - near) / period).astype(int) - 1
    since = times - last * period
    order = np.argsort(since)
    new = np.diff(since[order], prepend=-np.inf) > near
    column = np.zeros(len(times), int)
    column[order] = np.cumsum(new) - 1
    return since[order][new], column, np.maximum(last, -1)
