"""Pools of cells and receptors that a drug expands."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from pkpd.checks import fail
from pkpd.plot.bands import draw_bands, quantiles, spread_in_words
from pkpd.plot.style import BLUE, GREEN, GREY, describe, panels, styled
from pkpd.plot.times import draw_day_axis, in_days, shade_dosing
from pkpd.simulation import Simulation

TITLES: Mapping[str, str] = {
    "effector": "Effector cells, E/E₀",
    "aldesleukin.pool": "Interleukin-2 receptors (target pool), R/R₀",
}


@styled
def plot_cells(
    simulation: Simulation, treated: float | None = None, titles: Mapping[str, str] = TITLES
) -> Figure:
    """Each pool (an output `<pool>.excess`) relative to its start.

    `treated` is the end of dosing in days, `titles` names pools in words.
    """
    pools = {
        path.removesuffix(".excess"): v for path, v in simulation.outputs.items() if path.endswith(".excess")
    }
    if not pools:
        raise fail("simulation", "must hold a pool, an output that ends in .excess")
    ordered = sorted(
        pools, key=lambda name: (list(titles).index(name) if name in titles else len(titles), name)
    )
    figure, axes = panels(1, len(pools), 3.2, sharex=True)
    days = in_days(simulation)
    for panel, name, colour in zip(axes[0], ordered, (GREEN, BLUE) * len(pools), strict=False):
        size = 1.0 + np.asarray(pools[name])
        draw_bands(panel, days, size, colour)
        shade_dosing(panel, treated)
        panel.axhline(1.0, ls=":", lw=1.0, color=GREY)
        panel.set_title(titles.get(name, name), fontweight="bold")
        panel.set_ylim(0.0, 1.15 * float(quantiles(size).max()))
        draw_day_axis(panel, days)
        panel.legend(loc="upper right", bbox_to_anchor=(1.0, 0.94))
    axes[0, 0].set_ylabel("size relative to the start (1)")
    note = "Dotted: the size before treatment."
    describe(
        figure,
        "How far the drugs expand the cells that they act on",
        f"{spread_in_words(pools[ordered[0]])} {note}",
    )
    return figure
