"""How far estimates may be off: refits to redrawn data beside the posterior."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pkpd.checks import Findings
from pkpd.plot.style import BLUE, INK, ORANGE, PALE, ROW, describe, name_rows, panels, styled

PERCENT = (2.5, 50.0, 97.5)


@styled
def plot_bootstrap(names: Sequence[str], refits: ArrayLike, draws: ArrayLike, mode: ArrayLike) -> Figure:
    """For each parameter the middle 95 % of refits [refits, params] and of posterior draws [draws, params].

    All are on the scale on which each prior is standard normal, as is the `mode` [params].
    """
    sets = {"refits": np.asarray(refits, float), "draws": np.asarray(draws, float)}
    findings = Findings()
    for name, values in sets.items():
        if values.ndim != 2 or values.shape[1] != len(names) or len(values) < 2:
            findings.add(name, f"must be two rows or more of {len(names)} parameters", values.shape)
    findings.raise_if_any()
    figure, ((axes,),) = panels(1, 1, 1.6 + ROW * len(names))
    rows = np.arange(len(names))
    axes.axvspan(-1.96, 1.96, color=PALE, lw=0, label="95 % of the prior")
    looks = (("refits", -0.16, BLUE, "95 % of refits"), ("draws", 0.16, ORANGE, "95 % of the posterior"))
    for name, shift, colour, label in looks:
        low, middle, high = np.percentile(sets[name], PERCENT, axis=0)
        axes.hlines(rows + shift, low, high, color=colour, lw=3.0, label=label)
        axes.plot(middle, rows + shift, ls="", marker="|", ms=7, mew=1.6, color=INK)
    axes.plot(np.asarray(mode, float), rows, ls="", marker="o", ms=3.5, color=INK, label="mode of the fit")
    axes.set_xlabel("prior standard deviations from the prior's centre (1)")
    name_rows(axes, names, 4)
    describe(
        figure,
        "How far may the estimates be off?",
        f"{len(sets['refits'])} refits: the counts of each were drawn from the model at the mode, the "
        "centres of its priors about it. Where the log density is quadratic, refits spread as the "
        "posterior does; where the bars differ it is skewed or flat, and the posterior is the answer. "
        "Ticks: medians.",
    )
    return figure
