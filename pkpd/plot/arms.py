"""Counts of trial arms beside what a fit makes of them."""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Transform
from scipy.stats import binomtest

from pkpd.checks import fail
from pkpd.plot.style import BLUE, INK, PALE, VERMILION, describe, panels, styled

Row = Mapping[str, Any]
Names = Callable[[Row], str]
WORDS: Mapping[str, str] = {
    "regression": "Tumour regression (CR + PR)",
    "cr": "Complete response",
    "pr": "Partial response",
    "sd": "Stable disease",
    "pd": "Progressive disease",
    "ps_improved": "Performance status improved",
    "il2_alone": "IL-2 alone",
}
OBSERVED, PREDICTED = 8.0, 80.0
CAPTION = (
    "Observed: share of the randomised patients with its exact (Clopper-Pearson) 95 % interval. Predicted: "
    "probability with its posterior 95 % interval. Agreement in the fitted arms is reproduction of fitted "
    "counts, not validation."
)
_ALIVE = re.compile(r"alive\(([\d.]+) d\)")


@styled
def plot_arms(
    rows: Sequence[Row], predictions: Sequence[Row] = (), words: Mapping[str, str] = WORDS
) -> Figure:
    """Observed and predicted percentage of each endpoint in each arm, and of arms that were not fitted.

    `rows` are `Fit.arms` (study, arm, endpoint, n, events, predicted, posterior_mean, lo95, hi95;
    probabilities between 0 and 1), `predictions` are `Fit.predictions`; `words` names endpoints
    and arms. Observed intervals are exact (Clopper-Pearson).
    """
    if not rows:
        raise fail("rows", "must hold an arm")
    blocks = [("Fitted arms", rows), ("Predicted, not fitted", predictions)]
    blocks = [(title, _grouped(block, words)) for title, block in blocks if block]
    lines = [sum(1 + len(group) for _, group in block) for _, block in blocks]
    height = 1.5 + 0.27 * sum(lines) + 0.25 * len(blocks)
    figure, axes = panels(len(blocks), 1, height, sharex=True, height_ratios=lines)
    marks = _marks([*rows, *predictions])
    several = len({row.get("study") for row in rows}) > 1
    for panel, (title, block) in zip(axes[:, 0], blocks, strict=True):
        _draw_block(
            panel, title, block, lambda row: _name(row, several, words) + marks.get(row.get("note"), "")
        )
    axes[-1, 0].set(xlim=(0, _limit([*rows, *predictions])), xlabel="patients with the outcome (%)")
    axes[0, 0].legend(
        *_legend(axes[0, 0]),
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=3,
        borderaxespad=0.2,
        columnspacing=1.2,
        handletextpad=0.2,
    )
    notes = " ".join(f"{mark} {note}." for note, mark in marks.items())
    title = "What the fit makes of the arms it has seen" + (
        ", and predicts for others" if predictions else ""
    )
    describe(figure, title, f"{CAPTION} {notes}")
    return figure


def _marks(rows: Sequence[Row]) -> dict[str | None, str]:
    """A sign for each note, which the caption explains."""
    notes = dict.fromkeys(row["note"] for row in rows if row.get("note"))
    return dict(zip(notes, cycle("*†‡§"), strict=False))


def _limit(rows: Sequence[Row]) -> float:
    """The end of the axis: the next ten per cent after everything that is drawn."""
    seen = [_percent(row.get(key)) for row in rows for key in ("predicted", "posterior_mean", "hi95")]
    seen += [100.0 * _exact(row)[1] for row in rows if _counted(row)]
    return min(100.0, 10.0 * np.ceil(np.nanmax(seen) / 10.0 + 0.2))


def _grouped(rows: Sequence[Row], words: Mapping[str, str]) -> list[tuple[str, list[Row]]]:
    """Rows by endpoint, in the order in which the endpoints first appear."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(outcome_in_words(row["endpoint"], words), []).append(row)
    return list(found.items())


def outcome_in_words(endpoint: str, words: Mapping[str, str]) -> str:
    """What an endpoint is called in pictures."""
    alive = _ALIVE.fullmatch(endpoint)
    if alive is None:
        return words.get(endpoint, endpoint)
    years = float(alive[1]) / 365.0
    if years == round(years):
        return f"Alive at {years:.0f} year{'s' if years > 1 else ''}"
    return f"Alive at {alive[1]} days"


def _draw_block(axes: Axes, title: str, block: Sequence[tuple[str, Sequence[Row]]], names: Names) -> None:
    axes.set_title(title, fontweight="bold")
    if any(_counted(row) for _, rows in block for row in rows):
        _beside(axes, 1.0, OBSERVED, "observed", BLUE, heading=True)
    _beside(axes, 1.0, PREDICTED, "predicted (95 %)", VERMILION, heading=True)
    ticks: dict[float, str] = {}
    place = 0.0
    for heading, rows in block:
        axes.axhspan(place - 0.45, place + 0.45, color=PALE, alpha=0.45, lw=0)
        axes.text(
            0.008, place, heading, transform=_across(axes), va="center", fontsize=8.5, fontweight="bold"
        )
        for row in rows:
            place += 1.0
            ticks[place] = names(row)
            observed = _draw_observed(axes, place, row)
            _draw_predicted(axes, place, 0.17 * observed, row)
        place += 1.0
    axes.set(yticks=list(ticks), yticklabels=list(ticks.values()), ylim=(place - 0.45, -0.55))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=PALE, lw=0.6)
    axes.set_axisbelow(True)


def _across(axes: Axes) -> Transform:
    return axes.get_yaxis_transform()


def _beside(axes: Axes, place: float, column: float, text: str, colour: str, heading: bool = False) -> None:
    """A text to the right of the axes, `column` points away; a heading stands above them."""
    along, up = (axes.transAxes, 7.0) if heading else (_across(axes), 0.0)
    axes.annotate(
        text, (1.0, place), (column, up), along, "offset points", va="center", color=colour, fontsize=8
    )


def _draw_observed(axes: Axes, place: float, row: Row) -> bool:
    if not _counted(row):
        return False
    n, events = row["n"], row["events"]
    axes.plot(100.0 * np.asarray(_exact(row)), [place - 0.16] * 2, color=BLUE, lw=1.6)
    axes.plot(100.0 * events / n, place - 0.16, "o", color=BLUE, ms=5.5, label="observed", clip_on=False)
    text = f"{events}/{n} = {_digits(100 * events / n)} %"
    _beside(axes, place, OBSERVED, text, BLUE)
    return True


def _counted(row: Row) -> bool:
    return bool(row.get("n")) and row.get("events") is not None


def _exact(row: Row) -> tuple[float, float]:
    """The Clopper-Pearson 95 % interval of an observed share."""
    low, high = binomtest(int(row["events"]), int(row["n"])).proportion_ci(0.95, method="exact")
    return float(low), float(high)


def _name(row: Row, studies: bool, words: Mapping[str, str]) -> str:
    name = str(row.get("arm") or row.get("name"))
    name = words.get(name, name.replace("_", " "))
    return f"{row['study']}: {name}" if studies and _counted(row) else name


def _draw_predicted(axes: Axes, place: float, below: float, row: Row) -> None:
    mean, low, high, mode = (
        _percent(row.get(key)) for key in ("posterior_mean", "lo95", "hi95", "predicted")
    )
    line = place + below
    if np.isfinite(mean):
        axes.plot([low, high], [line] * 2, color=VERMILION, lw=1.6)
        axes.plot(mean, line, "s", color=VERMILION, ms=4.8, label="predicted: posterior mean", clip_on=False)
    look = {"mfc": "white", "mec": INK, "ms": 3.6, "mew": 0.9}
    axes.plot(mode, line, "D", label="predicted: mode", clip_on=False, **look)
    text = f"{_digits(mode)} % (mode)"
    if np.isfinite(mean):
        text = f"{_digits(mean)} % ({_digits(low)} to {_digits(high)})"
    _beside(axes, place, PREDICTED, text, VERMILION)


def _digits(percent: float) -> str:
    return f"{percent:.0f}" if percent >= 9.95 or percent == 0.0 else f"{percent:.1f}"


def _percent(value: float | None) -> float:
    return float("nan") if value is None else 100.0 * float(value)


def _legend(axes: Axes) -> tuple[list[Any], list[str]]:
    """One entry for each kind of mark."""
    found = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    return list(found.values()), list(found)
