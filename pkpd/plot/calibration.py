"""Ranks of truths among draws of their posteriors, against uniform ones."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pkpd.checks import fail
from pkpd.plot.style import BLUE, GREEN, GREY, PALE, VERMILION, describe, panels, styled

COLUMNS = 4

Curves = Mapping[str, Sequence[float] | np.ndarray]


@styled
def plot_calibration(curves: Curves, band: Any, level: float, weighed: Curves | None = None) -> Figure:
    """For each quantity the share of data sets whose rank lies below a place, less that place.

    `curves` are by quantity where each truth lies in its posterior, from 0 to 1; `band` (places, low, high)
    is what curves of uniform numbers keep together with probability `level`. `weighed` are the same of
    draws that were weighed by importance, where there are such.
    """
    if not curves:
        raise fail("curves", "must hold a quantity")
    rows = -(-len(curves) // COLUMNS)
    figure, axes = panels(rows, min(COLUMNS, len(curves)), 1.4 + 1.75 * rows, sharex=True, sharey=True)
    for panel, (name, places) in zip(axes.flat, curves.items(), strict=False):
        share = _below(places, band.places)
        held = bool(((share >= band.low) & (share <= band.high)).all())
        panel.fill_between(band.places, band.low - band.places, band.high - band.places, color=PALE, lw=0)
        panel.axhline(0.0, color=GREY, lw=0.8)
        panel.step(band.places, share - band.places, color=BLUE if held else VERMILION, where="mid")
        if weighed and len(weighed[name]):
            other = _below(weighed[name], band.places) - band.places
            panel.step(band.places, other, color=GREEN, where="mid", lw=1.0, label="weighed by importance")
        title = name if held else f"{name}: not uniform"
        panel.set_title(textwrap.fill(title, 30), fontsize=7.5)
    if weighed:
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right")
    for panel in axes.flat[len(curves) :]:
        panel.set_visible(False)
    for panel in axes[:, 0]:
        panel.set_ylabel("share below, less place")
    for panel in axes.flat[max(len(curves) - axes.shape[1], 0) : len(curves)]:
        panel.set_xlabel("place of the truth (1)")
        panel.tick_params(labelbottom=True)
    count = len(next(iter(curves.values())))
    describe(
        figure,
        "Do posteriors of simulated data hold the truth as often as they say?",
        f"{count} truths from the prior, each with data drawn from the model there. Where posteriors are "
        "right, the truth's place among the draws is uniform and its curve lies in the grey band: all curves "
        f"together with a probability of {level:.0%}. A curve that rises and falls across the middle is of "
        "posteriors too narrow or too wide, one on one side of it of posteriors that are shifted."
        + " Green curves are of fewer data sets, whose band would be wider than the grey one."
        * bool(weighed),
    )
    return figure


def _below(numbers: Sequence[float] | np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.sort(numbers), places, side="right") / len(numbers)
