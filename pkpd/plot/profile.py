"""Profiles of posterior and likelihood, side by side with the prior."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import PchipInterpolator

from pkpd.checks import fail
from pkpd.infer.profile import DROP
from pkpd.plot.posterior import short
from pkpd.plot.style import BLUE, GREY, INK, VERMILION, describe, panels, styled

COLUMNS = 4
DEPTH = 5.0


@styled
def plot_profile(profiles: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Of each parameter: log posterior density, log likelihood and log prior below their maxima.

    `profiles` are those of `pkpd profile --json`: by parameter, for `posterior` and `likelihood` the
    `places` in the parameter's unit, the same on the prior's `normal` scale, and the `drop` there.
    """
    if not profiles:
        raise fail("profiles", "must hold a parameter")
    rows = -(-len(profiles) // COLUMNS)
    columns = min(COLUMNS, len(profiles))
    figure, axes = panels(rows, columns, 1.6 + 1.9 * rows)
    for panel, (name, one) in zip(axes.flat, profiles.items(), strict=False):
        _draw(panel, name, one)
    for panel in axes.flat[len(profiles) :]:
        panel.set_visible(False)
    for panel in axes[:, 0]:
        panel.set_ylabel("below the maximum (1)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=4)
    describe(
        figure,
        "What the likelihood alone says",
        "Each parameter is held at places up to three posterior standard deviations from the mode while all "
        "others are chosen anew; the likelihood's profile keeps them within four prior standard deviations, "
        "and goes on to there where it has not fallen. "
        f"Grey line: a fall of {DROP:.2f}, which ends a 95 % interval. A likelihood that stays above it does "
        "not bound the parameter. The axis is stretched so that the prior is a standard normal; ticks are in "
        "the parameter's unit. A cross marks a place where no maximum was found.",
    )
    return figure


def _draw(axes: Axes, name: str, one: Mapping[str, Any]) -> None:
    for key, colour in (("posterior", VERMILION), ("likelihood", BLUE)):
        curve = one[key]
        x, drop = np.asarray(curve["normal"], float), np.asarray(curve["drop"], float)
        fine = np.linspace(x[0], x[-1], 200)
        axes.plot(fine, PchipInterpolator(x, drop)(fine), color=colour, label=key)
        axes.plot(x, drop, "." if curve["found"] else "x", color=colour, ms=5)
    x = np.asarray(one["likelihood"]["normal"], float)
    fine = np.linspace(x[0], x[-1], 200)
    prior = -0.5 * fine**2
    axes.plot(fine, prior - prior.max(), color=INK, ls="--", lw=1.0, label="prior")
    axes.axhline(-DROP, color=GREY, lw=0.8)
    places = one["likelihood"]["places"]
    shown = [0, len(x) // 2, len(x) - 1]
    axes.set_xticks(x[shown], [short(places[i]) for i in shown])
    axes.set(ylim=(-DEPTH, 0.3))
    axes.set_title(name, fontsize=8)
    axes.set_xlabel(f"({one['unit']})" if one["unit"] else "(model unit)", fontsize=7.5, labelpad=1)
    axes.tick_params(labelsize=7.5)
