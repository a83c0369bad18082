"""Candidate trials by what they are expected to teach."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pkpd.checks import fail
from pkpd.plot.style import BLUE, GREEN, GREY, INK, ORANGE, PALE, VERMILION, describe, panels, styled

LOOKS = ((VERMILION, "s"), (GREEN, "^"), (ORANGE, "D"), (INK, "v"), (GREY, "P"))
ERRORS = 2.0  # Monte-Carlo errors that a bar shows
LINE = 60  # characters of a quantity in a line
SHARES = 6  # parameters whose contraction is drawn


@styled
def plot_design(found: Mapping[str, Any]) -> Figure:
    """The expected information gain of candidates, the best first, about all parameters and about quantities,
    and the expected contraction of the parameters of which they tell most.

    `found` is what `pkpd.explore.design.design` tells.
    """
    candidates = found["candidates"]
    if not candidates:
        raise fail("candidates", "must hold a trial")
    lines = sum(-(-len(told["quantity"]) // LINE) for told in found["quantities"])
    figure, axes = panels(1, 2, 2.2 + 0.18 * lines + 0.42 * len(candidates), width_ratios=(3, 2))
    gains, shares = axes[0]
    _gains(gains, candidates, found["quantities"])
    _shares(shares, candidates)
    subject = found["ranked_by"]
    describe(
        figure,
        "Which next trial would teach most?",
        f"Ranked by {subject}. Left: expected information gain (nats; log 2 = 0.69 answers one question of "
        f"two equal chances) with {ERRORS:g} Monte-Carlo errors; the pale mark is the normal approximation "
        "at the mode. Right: the share of a parameter's variance that is expected to go.",
    )
    return figure


def _gains(
    axes: Axes, candidates: Sequence[Mapping[str, Any]], quantities: Sequence[Mapping[str, Any]]
) -> None:
    rows = np.arange(len(candidates), dtype=float)
    linear = [one["laplace"] for one in candidates]
    axes.plot(linear, rows, ls="", marker="|", ms=14, mew=3, color=PALE, label="normal approximation")
    sets = [("all parameters", BLUE, "o", [(one["eig"], one["mcse"]) for one in candidates])]
    for i, ((colour, marker), told) in enumerate(zip(LOOKS * len(quantities), quantities, strict=False)):
        values = [(one["about"][i]["gain"], one["about"][i]["mcse"]) for one in candidates]
        sets.append((textwrap.fill(told["quantity"], LINE), colour, marker, values))
    shifts = np.linspace(-0.2, 0.2, len(sets)) if len(sets) > 1 else [0.0]
    for shift, (label, colour, marker, values) in zip(shifts, sets, strict=True):
        gain, error = np.array(values).T
        axes.errorbar(
            gain, rows + shift, xerr=ERRORS * error, fmt=marker, color=colour, ms=5, capsize=2, label=label
        )
    axes.set(xlabel="expected information gain (nats)", yticks=rows, ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticklabels([one["name"] for one in candidates])
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=1, borderaxespad=0.2)


def _shares(axes: Axes, candidates: Sequence[Mapping[str, Any]]) -> None:
    most = {
        name: max(one["contraction"][name] for one in candidates) for name in candidates[0]["contraction"]
    }
    names = sorted(most, key=lambda name: -most[name])[:SHARES]
    values = np.array([[one["contraction"][name] for name in names] for one in candidates])
    axes.imshow(np.clip(values, 0.0, 1.0), aspect="auto", cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(values.shape):
        share = values[row, column]
        colour = "white" if share > 0.55 else INK
        axes.text(column, row, f"{max(share, 0.0):.2f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set(xticks=range(len(names)), yticks=[])
    axes.set_xticklabels(names, rotation=30, ha="right")
    axes.set_title("expected contraction")
