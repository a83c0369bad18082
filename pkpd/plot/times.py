"""The time axis that all courses share."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from pkpd.plot.style import GREY
from pkpd.simulation import Simulation
from pkpd.units import UnitSystem


def in_days(simulation: Simulation) -> Float[np.ndarray, " times"]:
    """The times of a simulation in days."""
    return np.asarray(simulation.times, float) / UnitSystem(time=simulation.time_unit).day


def draw_day_axis(axes: Axes, days: Float[np.ndarray, " times"]) -> None:
    """An axis in days; a tick per day, week, four weeks, quarter or half year, whichever suits the length."""
    span = float(days[-1] - days[0])
    step = next((step for step, longest in ((1, 10), (7, 70), (28, 224), (91, 800)) if span <= longest), 182)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.set(xlabel="time (days)", xlim=(days[0], days[-1]))


def shade_dosing(axes: Axes, treated: float | None) -> None:
    """Shades the days from 0 to `treated`, in which doses are given."""
    if treated:
        top = axes.get_xaxis_transform()
        axes.axvspan(0.0, treated, color="black", alpha=0.05, lw=0, zorder=0)
        axes.text(treated / 2, 0.985, "dosing", transform=top, ha="center", va="top", fontsize=8, color=GREY)
