"""Whether climbs from different starts end at the same mode."""

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from pkpd.plot.style import BLUE, GREY, VERMILION, describe, panels, styled

FLOOR = 1e-6


@styled
def plot_starts(
    log_density: Float[np.ndarray, " starts"], converged: Bool[np.ndarray, " starts"], agree: float = 0.01
) -> Figure:
    """How far below the best log density each start ended, best first; `agree` is the tolerance."""
    best = np.nanmax(log_density)
    gap = np.maximum(best - np.asarray(log_density, float), FLOOR)
    order = np.argsort(gap)
    rank = np.arange(1, len(gap) + 1)
    gap, done = gap[order], np.asarray(converged, bool)[order]
    figure, axes = panels(1, 1, 2.9)
    panel = axes[0, 0]
    panel.plot(rank[done], gap[done], "o", color=BLUE, ms=6, label="converged")
    panel.plot(rank[~done], gap[~done], "x", color=VERMILION, ms=6, mew=1.8, label="not converged")
    panel.axhline(agree, color=GREY, ls="--", lw=1.0)
    panel.annotate(f"agreement: {agree:g}", (1.0, agree), (0, 3), "axes fraction")
    return figure
