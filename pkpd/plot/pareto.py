"""What more of a quantity gains: the best schedules at each level of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pkpd.checks import fail
from pkpd.plot.style import BLUE, GREY, ORANGE, VERMILION, describe, panels, styled


@styled
def plot_pareto(found: Mapping[str, Any]) -> Figure:
    """The front of an optimisation (as `pkpd optimise --json` prints it): what is maximised, in per cent,
    against a quantity, with the 95 % of the posterior, and where the evidence has doses of that drug."""
    rows = found["pareto"]
    if not rows:
        raise fail("pareto", "must hold a schedule")
    at, value, low, high = (
        np.array([row[k] for row in rows], float) for k in ("at", "value", "lo95", "hi95")
    )
    figure, ((axes,),) = panels(1, 1, 3.6)
    if np.any(high > low):
        label = "95 % of the posterior"
        axes.fill_between(at, 100 * low, 100 * high, color=BLUE, alpha=0.15, lw=0, label=label)
    axes.plot(at, 100 * value, marker="o", ms=3.5, color=BLUE, label="best for as little")
    axes.plot(at[-1:], 100 * value[-1:], marker="*", ms=12, ls="", color=VERMILION, label="best")
    _draw_evidence(axes, found, rows[0])
    unit = f" ({rows[0]['unit']})" if rows[0]["unit"] not in ("", "1") else ""
    goal = found["objective"]
    axes.set(xlabel=f"{rows[0]['quantity']}{unit}", ylabel=f"{goal['outcome']}, {goal['what']} (%)")
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(left=min(0.0, float(at.min())))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    cap = f" {found['headline']}." if found.get("headline") else ""
    describe(figure, f"What more of {rows[0]['quantity']} gains", f"Best: {found['regimen']}.{cap}")
    return figure


def _draw_evidence(axes: Any, found: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Where arms of the evidence stand, if the quantity is an amount that they are known by."""
    known = found["evidence"]["amounts"].get(row["quantity"], {"seen": [], "unit": ""})
    if known["seen"] and known["unit"] == row["unit"]:
        marks = {"marker": "^", "ms": 8, "ls": "", "color": ORANGE, "clip_on": False, "zorder": 5}
        axes.plot(known["seen"], np.zeros(len(known["seen"])), **marks, label="arms of the evidence")
        axes.axvline(max(known["seen"]), color=GREY, lw=0.8, ls=":")
