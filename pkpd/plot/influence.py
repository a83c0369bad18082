"""What estimates rest on: their shifts when evidence is left out or a prior moved."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from pkpd.checks import fail
from pkpd.infer.influence import WITHOUT
from pkpd.plot.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    ROW,
    VERMILION,
    describe,
    name_rows,
    panels,
    styled,
)

Shifts = Sequence[tuple[str, Mapping[str, float]]]  # by alternative, of each parameter

LOOKS = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (ORANGE, "D"), (INK, "v"), (GREY, "P"))


@styled
def plot_influence(names: Sequence[str], shifts: Shifts) -> Figure:
    """For each parameter how far its mode moves without each part of the evidence, in posterior SDs, beside
    how far it moves with its own prior, centred one SD of the prior higher or lower.

    `shifts` are by alternative ("without STUDY", "PARAMETER higher", ...), empty where a refit failed. Of
    several studies the studies are drawn, of one its arms.
    """
    if not shifts:
        raise fail("shifts", "must hold an alternative")
    figure, ((axes,),) = panels(1, 1, 1.7 + ROW * len(names))
    rows, known = np.arange(len(names)), dict(shifts)
    low, high = (
        np.array([known.get(f"{name} {way}", {}).get(name, np.nan) for name in names])
        for way in ("lower", "higher")
    )
    axes.barh(rows, high - low, left=low, color=PALE, height=0.6, label="its prior 1 SD off")
    for (label, moved), (colour, marker) in zip(_evidence(known), LOOKS * len(known), strict=False):
        places = [moved.get(name, np.nan) for name in names]
        axes.plot(np.array(places), rows, ls="", marker=marker, ms=5, color=colour, label=label)
    axes.axvline(0.0, color=GREY, lw=0.8)
    axes.set_xlabel("shift of the mode (posterior standard deviations)")
    name_rows(axes, names, 3)
    describe(
        figure,
        "What does each estimate rest on?",
        "Points: the mode refitted without a part of the evidence. Bars: from the mode with the parameter's "
        "own prior centred one of its standard deviations lower to that with it so much higher; a bar from "
        "-1 to 1 says that the data tell nothing of it, a short one that its prior hardly matters.",
    )
    return figure


def _evidence(known: Mapping[str, Mapping[str, float]]) -> list[tuple[str, Mapping[str, float]]]:
    """What is left out: studies where there are several, else arms, or the only study."""
    parts = {label: moved for label, moved in known.items() if label.startswith(WITHOUT)}
    studies = [label for label in parts if "/" not in label]
    chosen = studies if len(studies) > 1 else [label for label in parts if label not in studies] or studies
    return [(label, parts[label]) for label in chosen]
