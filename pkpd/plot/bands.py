"""How a quantity is spread over patients, drawn along time."""

from typing import Any

import numpy as np
from jaxtyping import Float, Real
from matplotlib.axes import Axes

PERCENT = (2.5, 25.0, 50.0, 75.0, 97.5)


def quantiles(values: Any) -> Float[np.ndarray, "five times"]:
    """The 2.5, 25, 50, 75 and 97.5 % points over patients of values [times, patients]."""
    return np.percentile(np.asarray(values, float), PERCENT, axis=1)


def draw_bands(axes: Axes, x: Real[np.ndarray, " times"], values: Any, colour: str) -> None:
    """Median of values [times, patients] with the bands that hold 50 and 95 % of patients.

    One patient is a line without bands.
    """
    low, lower, middle, upper, high = quantiles(values)
    if np.shape(values)[1] > 1:
        axes.fill_between(x, low, high, color=colour, alpha=0.18, lw=0, label="95 % of patients")
        axes.fill_between(x, lower, upper, color=colour, alpha=0.35, lw=0, label="50 % of patients")
    axes.plot(x, middle, color=colour, label=middle_in_words(values))


def middle_in_words(values: Any) -> str:
    """What the line of values [times, patients] is, for a legend."""
    return "median" if np.shape(values)[1] > 1 else "one patient"


def spread_in_words(values: Any) -> str:
    """What the bands of values [times, patients] mean, for a caption."""
    count = np.shape(values)[1]
    if count == 1:
        return "Line: one patient."
    return (
        f"Line: median of {count} virtual patients; bands: the middle 50 and 95 % of them at each time "
        "(differences between patients, not uncertainty of the parameters)."
    )
