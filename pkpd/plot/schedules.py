"""Schedules: what is given when, above what it comes to."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pkpd.checks import fail
from pkpd.dosing import Regimen
from pkpd.plot.arms import WORDS, outcome_in_words
from pkpd.plot.style import BLUE, GREEN, GREY, INK, ORANGE, VERMILION, WIDTH, describe, styled

COLOURS = (BLUE, ORANGE, GREEN, VERMILION)
CAPTION = (
    "Strips: every dose, as high as its amount to the largest of its drug. Below: posterior means and 95 % "
    "intervals of each probability; grey rings are fits that choose otherwise what the evidence leaves open. "
    "Red is undetermined, because they disagree. For research, not for treatment decisions."
)


@styled
def plot_schedules(found: Mapping[str, Any]) -> Figure:
    """What `compare` found: for each schedule a strip of its doses, and outcomes with their intervals."""
    schedules: Mapping[str, Any] = found["schedules"]
    if not schedules:
        raise fail("found", "must hold a schedule")
    outcomes = list(next(iter(schedules.values()))["outcomes"])
    rows, columns = len(schedules), min(3, len(outcomes))
    blocks = -(-len(outcomes) // columns)
    strip, block = 0.55 * rows + 0.75, blocks * (0.28 * rows + 0.85)
    figure = Figure(figsize=(WIDTH, strip + block + 1.2))
    above, below = figure.subfigures(2, 1, height_ratios=[strip, block], squeeze=False)[:, 0]
    _strips(list(above.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]), schedules)
    axes = below.subplots(blocks, columns, sharey=True, squeeze=False).ravel()
    for panel, outcome in zip(axes, outcomes, strict=False):
        _outcome(panel, outcome, schedules)
    for panel in axes[len(outcomes) :]:
        panel.set_axis_off()
    describe(figure, f"Schedules under {found['fit']}", CAPTION)
    return figure


def _strips(axes: Sequence[Axes], schedules: Mapping[str, Any]) -> None:
    given = {name: Regimen.parse(one["regimen"]).administrations() for name, one in schedules.items()}
    drugs = list(dict.fromkeys(dose.drug for doses in given.values() for dose in doses))
    largest = {
        d: max(dose.amount for doses in given.values() for dose in doses if dose.drug == d) for d in drugs
    }
    for panel, (name, doses) in zip(axes, given.items(), strict=True):
        for i, drug in enumerate(drugs):
            mine = [dose for dose in doses if dose.drug == drug]
            times = np.array([dose.time / 24.0 for dose in mine])
            heights = np.array([dose.amount / largest[drug] for dose in mine])
            colour = COLOURS[i % len(COLOURS)]
            panel.vlines(times, -i - 0.95, -i - 0.95 + 0.85 * heights, color=colour, lw=1.6, label=drug)
        panel.set(yticks=[], ylim=(-max(len(drugs), 1) - 0.05, 0.05))
        panel.set_ylabel(name, rotation=0, ha="right", va="center", color=INK)
        panel.spines["left"].set_visible(False)
    axes[-1].set_xlabel("days since the first day")
    if drugs:
        axes[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(drugs), borderaxespad=0.1)


def _outcome(panel: Axes, outcome: str, schedules: Mapping[str, Any]) -> None:
    highest = 0.0
    for row, one in enumerate(schedules.values()):
        told = one["outcomes"][outcome]
        low, middle, high = (100.0 * told[key] for key in ("lo95", "mean", "hi95"))
        others = [100.0 * v for v in told["alternatives"].values()]
        colour = VERMILION if told["undetermined"] else BLUE
        panel.plot([low, high], [row, row], color=colour, lw=1.8, solid_capstyle="butt")
        panel.plot(others, [row] * len(others), "o", mfc="none", mec=GREY, ms=4.5)
        panel.plot(middle, row, "o", color=colour, ms=5)
        highest = max(highest, high, *others)
    panel.set_title(outcome_in_words(outcome, WORDS))
    panel.set(xlim=(0, min(100.0, 1.05 * highest)), xlabel="probability (%)")
    panel.set_yticks(range(len(schedules)), list(schedules))
    panel.set_ylim(len(schedules) - 0.4, -0.6)
