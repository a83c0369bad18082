"""What is gained by more of a quantity: schedules none of which another beats in both."""

from typing import Any

import numpy as np

from pkpd.checks import InputError
from pkpd.explore.limits import Limit
from pkpd.explore.quantities import Quantity
from pkpd.explore.search import Say, Search, Settings
from pkpd.explore.trials import Trial, Trials

Row = dict[str, Any]


def front_of(
    trials: Trials, best: Trial, against: Quantity, levels: int, settings: Settings, say: Say
) -> list[Row]:
    """The front over all that was tried, and over the best schedules at so many levels of a quantity below
    that of the best."""
    most = trials.measured(against, best.events, best.values)
    known = dict(trials.known)
    for k in range(1, levels + 1):
        level = most * k / (levels + 1)
        inner = trials.under([*trials.limits, Limit(against, "<=", level)])
        say(f"{against.name} at most {level:.3g} {against.unit}", 0.9 + 0.08 * k / levels)
        try:
            Search(inner, settings, lambda what, share: None).run([best.point])
        except InputError:
            continue
        known |= {key: t for key, t in inner.known.items() if key not in known}
    return nondominated(trials, known.values(), against)


def nondominated(trials: Trials, tried: Any, against: Quantity) -> list[Row]:
    """Rows of quantity, value and regimen by the quantity, of trials that keep to the limits and that none
    with as little of the quantity beats."""
    rows = []
    for trial in tried:
        if trial.values is None or not trials.slack(trial.events, trial.values) >= -1e-6:
            continue
        at = trials.measured(against, trial.events, trial.values)
        value = trials.goal.value(trial.values[:, trials.place(None)])
        rows.append((float(f"{at:.9g}"), -trial.score, value, trial))
    front, best = [], np.inf
    for at, cost, value, trial in sorted(rows, key=lambda row: row[:2]):
        if cost < best - 1e-9:
            best = cost
            front.append(_row(trials, against, at, value, trial))
    return front


def _row(trials: Trials, against: Quantity, at: float, value: float, trial: Trial) -> Row:
    own = trial.values[:, trials.place(None)] if trial.values is not None else np.zeros(1)
    low, high = np.quantile(own, [0.025, 0.975])
    return {
        "quantity": against.name,
        "at": at,
        "unit": against.unit,
        "value": value,
        "lo95": float(low),
        "hi95": float(high),
        "regimen": str(trial.regimen),
    }
