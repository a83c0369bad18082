"""Whether climbs from different starts end at the same mode."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pkpd.checks import fail
from pkpd.plot.style import BLUE, PALE, VERMILION, describe, panels, styled

FLOOR = 1e-6


@styled
def plot_starts(
    log_density: Sequence[float] | np.ndarray, converged: Sequence[bool] | np.ndarray, agree: float = 0.01
) -> Figure:
    """How far below the best log density each start [starts] ended, best first; `agree` is the tolerance.

    The best is that of those that converged, if one has.
    """
    reached, done = np.asarray(log_density, float), np.asarray(converged, bool)
    reached = np.where(np.isfinite(reached), reached, np.nan)
    if np.all(np.isnan(reached)):
        raise fail("log_density", "must hold a number", list(log_density))
    best = np.nanmax(reached[done] if np.isfinite(reached[done]).any() else reached)
    gap = np.maximum(best - reached, FLOOR)
    order = np.argsort(gap)
    rank, gap, done = np.arange(1, len(gap) + 1), gap[order], done[order]
    figure, axes = panels(1, 1, 2.9)
    panel = axes[0, 0]
    panel.axhspan(FLOOR / 2, agree, color=PALE, alpha=0.5, lw=0, zorder=0)
    panel.plot(rank[done], gap[done], "o", color=BLUE, ms=6, label="converged")
    panel.plot(rank[~done], gap[~done], "X", color=VERMILION, ms=7, label="not converged")
    panel.set_yscale("log")
    panel.set(xlim=(0.3, len(gap) + 0.7), ylim=(FLOOR / 2, max(3.0 * float(np.nanmax(gap)), 1.0)))
    panel.set(xlabel="starts, best first (rank)", ylabel="below the best log density (1)")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(loc="upper left")
    same = int(np.sum(done & (gap < agree)))
    describe(
        figure,
        f"{same} of {len(gap)} starts reached the same mode",
        f"Shaded: within {agree:g} of the best. Differences below {FLOOR:g} are drawn at {FLOOR:g}; "
        "starts whose log density is not a number are left out.",
    )
    return figure
