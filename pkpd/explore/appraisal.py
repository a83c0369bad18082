"""What candidate trials are expected to teach, which most, and how many patients a precision takes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pkpd.explore.information import Estimate, Gain, Left, gain, gain_about, left_by
from pkpd.explore.outlooks import Seen, Trial

APART = 0.25  # of the larger: by which a gain and its linear approximation may differ before it is told
WIDE = 0.2  # of the gain: between its bounds
CLEAR = 2.0  # Monte-Carlo errors
CLOSE = 0.02  # of the number of patients, where data are drawn


class Known(NamedTuple):
    """Draws on the prior's standard normal scale, the values of quantities in them, and the covariance of the
    normal approximation at the mode."""

    points: Float[np.ndarray, "draws params"]
    quantities: Float[np.ndarray, "draws quantities"]
    covariance: Float[np.ndarray, "params params"]


class Appraisal(NamedTuple):
    """What a trial is expected to tell: the gain about all parameters and about each quantity, what it leaves
    of the variance of parameters and of quantities, the gain were all linear and normal about the mode, and
    whether its data were drawn."""

    trial: Trial
    gain: Gain
    about: tuple[Gain, ...]
    parameters: Left
    quantities: Left
    linear: float
    sampled: bool

    @property
    def ranked_by(self) -> Estimate:
        """The gain about the first quantity, else about all parameters."""
        return (self.about[0] if self.about else self.gain).estimate

    def remarks(self) -> list[str]:
        """Why numbers may not be what they seem."""
        found, told = [], self.gain
        apart = abs(self.linear - told.estimate.value)
        limit = max(APART * max(self.linear, told.estimate.value), CLEAR * told.estimate.mcse)
        if apart > limit:
            found.append(
                f"the normal approximation at the mode says {self.linear:.3g} nats, more than "
                f"{APART:.0%} away: the posterior is not normal, or the chances are not linear in it"
            )
        if told.upper - told.lower > max(WIDE * told.estimate.value, CLEAR * told.estimate.mcse):
            found.append(
                f"the gain lies between {told.lower:.3g} and {told.upper:.3g} nats: there are few draws for "
                "data that tell so much"
            )
        return found


def appraise(seen: Seen, trial: Trial, known: Known, seed: int) -> Appraisal:
    """What a trial is expected to tell."""
    outlook = seen.outlook(trial, seed)
    return Appraisal(
        trial,
        gain(outlook),
        tuple(gain_about(outlook, values) for values in known.quantities.T),
        left_by(outlook, known.points),
        left_by(outlook, known.quantities),
        seen.linear_gain(trial, known.covariance),
        outlook.drawn is not None,
    )


def ranked(found: Sequence[Appraisal]) -> list[Appraisal]:
    """The most instructive first."""
    return sorted(found, key=lambda each: -each.ranked_by.value)


def patients_for(
    seen: Seen, trial: Trial, values: Float[np.ndarray, " draws"], sd: float, most: int, seed: int
) -> tuple[int | None, float]:
    """How many patients in a trial's first arm, the others in proportion, leave a quantity this posterior
    standard deviation (root of the expected variance), and what they leave; None where `most` do not.

    The smallest number where all counts are summed over; where data are drawn, within 2 %.
    """
    now = float(values.std(ddof=1))
    if now <= sd:
        return 0, now
    left: dict[int, float] = {}

    def enough(n: int) -> bool:
        outlook = seen.outlook(trial.of_size(n), seed)
        left[n] = float(np.sqrt(max(left_by(outlook, values[:, None]).left[0], 0.0)))
        return left[n] <= sd

    found = smallest(enough, trial.arms[0].n, most)
    return found, left[most if found is None else found]


def smallest(enough: Callable[[int], bool], start: int, most: int) -> int | None:
    """The smallest number from 1 to `most` that is enough, within 2 % above 100; None where none is."""
    low, high = 0, min(start, most)
    while not enough(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > max(1, int(CLOSE * low)):
        middle = round(np.sqrt(max(low, 1) * high)) if low else (low + high) // 2
        middle = min(max(middle, low + 1), high - 1)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
