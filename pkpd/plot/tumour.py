"""Tumour size along the course."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from pkpd.checks import did_you_mean, fail
from pkpd.plot.bands import draw_bands, quantiles, spread_in_words
from pkpd.plot.style import BLUE, GREEN, GREY, INK, VERMILION, describe, panels, styled
from pkpd.plot.times import draw_day_axis, in_days, shade_dosing
from pkpd.simulation import Simulation

SHRINKAGE, GROWTH = 0.5**0.5, 1.25**0.5
RULE = (
    "Triangles: visits. Dashed: WHO criteria (area −50 %, +25 %) as sums of diameters; the upper line holds "
    "for a tumour that has not shrunk, because growth is judged from the smallest size so far."
)
TICKS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


@styled
def plot_tumour(
    simulation: Simulation,
    visits: Sequence[float] = (28.0, 56.0, 84.0, 112.0),
    treated: float | None = None,
    path: str = "tumour.log_ratio",
    samples: int = 30,
) -> Figure:
    """Sum of tumour diameters relative to the start, with the WHO thresholds and `visits` (days).

    `path` is the output that holds the log of the relative size; `samples` patients are drawn one
    by one, `treated` is the end of dosing in days.

    References: Miller AB, et al. Cancer 1981;47:207-214.
    """
    if path not in simulation.outputs:
        hint = did_you_mean(path, simulation.outputs)
        raise fail("path", "must be an output of the simulation", path, hint)
    size = np.exp(np.asarray(simulation.outputs[path]))
    figure, axes = panels(1, 1, 4.0)
    panel, days = axes[0, 0], in_days(simulation)
    draw_bands(panel, days, size, BLUE)
    shown = min(samples, size.shape[1]) if size.shape[1] > 1 else 0
    for patient in range(shown):
        label = f"{shown} single patients" if patient == 0 else None
        panel.plot(days, size[:, patient], color=INK, lw=0.5, alpha=0.45, label=label)
    shade_dosing(panel, treated)
    _scale(panel, size)
    _thresholds(panel)
    _mark_visits(panel, visits)
    draw_day_axis(panel, days)
    panel.set_ylabel("sum of diameters relative to the start (1)")
    panel.legend(loc="upper left", bbox_to_anchor=(0.0, 0.94))
    title = "Tumour size over time, against the criteria for response"
    describe(figure, title, f"{spread_in_words(size)} {RULE}")
    return figure


def _scale(axes: Axes, size: np.ndarray) -> None:
    """A log axis from just below to just above the bands, at least 0.5 to 2."""
    spread = quantiles(size)
    low, high = min(0.5, 0.85 * float(spread.min())), max(2.0, 1.25 * float(spread.max()))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(low, high)


def _thresholds(axes: Axes) -> None:
    right = axes.get_yaxis_transform()
    for value, colour, side, text in (
        (SHRINKAGE, GREEN, "top", "response\n≤ 0.707 × start,\ntwo visits"),
        (GROWTH, VERMILION, "bottom", "progression\n≥ 1.118 × smallest"),
    ):
        axes.axhline(value, color=colour, ls="--", lw=1.1)
        axes.text(1.01, value, text, transform=right, color=colour, fontsize=8, va=side)
    axes.axhline(1.0, color=GREY, ls=":", lw=1.0)


def _mark_visits(axes: Axes, visits: Sequence[float]) -> None:
    bottom = axes.get_xaxis_transform()
    axes.plot(visits, np.full(len(visits), 0.015), "^", color=INK, ms=5, transform=bottom, clip_on=False)
