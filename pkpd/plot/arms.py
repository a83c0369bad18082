"""Counts of trial arms beside what a fit makes of them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import binomtest

from pkpd.checks import fail
from pkpd.plot.style import BLUE, GREY, INK, PALE, VERMILION, describe, panels, styled

Row = Mapping[str, Any]
WORDS: Mapping[str, str] = {
    "regression": "Tumour regression (CR + PR)",
    "ps_improved": "Performance status improved",
}
_ALIVE = re.compile(r"alive\(([\d.]+) d\)")


@styled
def plot_arms(
    rows: Sequence[Row], predictions: Sequence[Row] = (), words: Mapping[str, str] = WORDS
) -> Figure:
    """Observed and predicted percentage of each endpoint in each arm, and arms that were not fitted.

    `rows` are `Fit.arms` (study, arm, endpoint, n, events, predicted, posterior_mean, lo95, hi95;
    probabilities between 0 and 1), `predictions` are `Fit.predictions`; `words` names endpoints.
    Observed intervals are exact (Clopper-Pearson).
    """
    if not rows:
        raise fail("rows", "must hold an arm")
    blocks = [("Fitted arms", rows), ("Predicted, not fitted", predictions)]
    blocks = [(title, _grouped(block, words)) for title, block in blocks if block]
    lines = [sum(1 + len(group) for _, group in block) for _, block in blocks]
    figure, axes = panels(
        len(blocks), 1, 1.5 + 0.29 * sum(lines) + 0.25 * len(blocks), sharex=True, height_ratios=lines
    )
    for panel, (title, block) in zip(axes[:, 0], blocks, strict=True):
        _draw_block(panel, title, block, len({row.get("study") for row in rows}) > 1)
    axes[-1, 0].set(xlim=(0, 100), xlabel="patients with the outcome (%)")
    axes[0, 0].legend(
        *_legend(axes[0, 0]), loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2
    )
    describe(
        figure,
        "What the fit makes of the arms it has seen, and what it predicts for others",
        "Observed: share of the randomised patients with its exact (Clopper-Pearson) 95 % interval. "
        "Predicted: probability with its posterior 95 % interval. Agreement in the fitted arms is "
        "reproduction of fitted counts, not validation.",
    )
    return figure


def _grouped(rows: Sequence[Row], words: Mapping[str, str]) -> list[tuple[str, list[Row]]]:
    """Rows by endpoint, in the order in which the endpoints first appear."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(_in_words(row["endpoint"], words), []).append(row)
    return list(found.items())


def _in_words(endpoint: str, words: Mapping[str, str]) -> str:
    alive = _ALIVE.fullmatch(endpoint)
    if alive is None:
        return words.get(endpoint, endpoint)
    years = float(alive[1]) / 365.0
    if years == round(years):
        return f"Alive at {years:.0f} year{'s' if years > 1 else ''}"
    return f"Alive at {alive[1]} days"


def _draw_block(axes: Axes, title: str, block: Sequence[tuple[str, Sequence[Row]]], studies: bool) -> None:
    axes.set_title(title, fontweight="bold")
    ticks: dict[float, str] = {}
    place = 0.0
    for heading, rows in block:
        axes.axhspan(place - 0.45, place + 0.45, color=PALE, alpha=0.45, lw=0)
        axes.text(0.8, place, heading, va="center", fontsize=8.5, fontweight="bold")
        for row in rows:
            place += 1.0
            ticks[place] = _name(row, studies)
            _draw_row(axes, place, row)
        place += 1.0
    axes.set(yticks=list(ticks), yticklabels=list(ticks.values()), ylim=(place - 0.45, -0.55))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=PALE, lw=0.6)
    axes.set_axisbelow(True)


def _name(row: Row, studies: bool) -> str:
    name = str(row.get("arm") or row.get("name")).replace("_", " ")
    return f"{row['study']}: {name}" if studies and row.get("study") else name


def _draw_row(axes: Axes, place: float, row: Row) -> None:
    n, events = row.get("n"), row.get("events")
    right = axes.get_yaxis_transform()
    if n and events is not None:
        interval = binomtest(int(events), int(n)).proportion_ci(0.95, method="exact")
        share = 100.0 * events / n
        axes.plot([100 * interval.low, 100 * interval.high], [place - 0.15] * 2, color=BLUE, lw=1.6)
        axes.plot(share, place - 0.15, "o", color=BLUE, ms=5.5, label="observed", clip_on=False)
        axes.text(
            1.015,
            place - 0.03,
            f"{events}/{n} = {share:.0f} %",
            transform=right,
            va="center",
            color=BLUE,
            fontsize=8,
        )
    mean, low, high = (_percent(row.get(key)) for key in ("posterior_mean", "lo95", "hi95"))
    axes.plot([low, high], [place + 0.17] * 2, color=VERMILION, lw=1.6)
    axes.plot(
        mean, place + 0.17, "s", color=VERMILION, ms=4.8, label="predicted, posterior mean", clip_on=False
    )
    mode = _percent(row.get("predicted"))
    axes.plot(
        mode, place + 0.17, "D", mfc="white", mec=INK, ms=3.6, mew=0.9, label="predicted, mode", clip_on=False
    )
    text = f"{mean:.0f} % ({low:.0f} to {high:.0f})" if np.isfinite(mean) else f"{mode:.0f} %"
    axes.text(1.155, place - 0.03, text, transform=right, va="center", color=VERMILION, fontsize=8)
    if row.get("note"):
        axes.text(99.5, place, f"{row['note']}", ha="right", va="center", fontsize=7, color=GREY)


def _percent(value: float | None) -> float:
    return float("nan") if value is None else 100.0 * float(value)


def _legend(axes: Axes) -> tuple[list[Any], list[str]]:
    """One entry for each kind of mark."""
    found = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    return list(found.values()), list(found)
