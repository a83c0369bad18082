"""What is maximised over one or two variables of a schedule, with the evidence marked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pkpd.checks import fail
from pkpd.plot.style import BLUE, GREY, INK, ORANGE, VERMILION, describe, panels, styled

CAPTION = (
    "Other variables are as in the best schedule. Triangles: arms of the evidence; all else is the model's "
    "shape between and beyond them. Hatched: limits are not kept. For research, not for treatment decisions."
)


@styled
def plot_surface(found: Mapping[str, Any]) -> Figure:
    """The `surface` of an optimisation (as `pkpd optimise --json --surface` has it), in per cent."""
    told = found["surface"]
    axes = told["axes"]
    if not axes:
        raise fail("surface", "must have a variable that is a single number")
    figure, ((panel,),) = panels(1, 1, 4.4)
    (_curve if len(axes) == 1 else _map)(panel, told)
    names = [f"{axis['name']} ({axis['unit']})" for axis in axes]
    goal = found["objective"]
    panel.set_xlabel(names[0])
    panel.set_ylabel(names[1] if len(names) > 1 else f"{goal['outcome']} (%)")
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)
    describe(
        figure, f"{goal['outcome']}, {goal['what']}, over {' and '.join(a['name'] for a in axes)}", CAPTION
    )
    return figure


def _curve(panel: Axes, told: Mapping[str, Any]) -> None:
    at, score = np.array(told["axes"][0]["values"]), 100.0 * np.array(told["score"])
    panel.plot(at, score, color=BLUE, marker="o", ms=3.5)
    out = ~np.array(told["kept"])
    panel.plot(at[out], score[out], "x", color=GREY, label="limits not kept")
    panel.plot(
        told["best"][0], np.interp(told["best"][0], at, score), "*", ms=13, color=VERMILION, label="best"
    )
    seen = [place[0] for place in told["seen"]]
    panel.plot(seen, np.zeros(len(seen)), "^", color=ORANGE, ms=8, clip_on=False, label="evidence")
    panel.set_ylim(bottom=0.0)


def _map(panel: Axes, told: Mapping[str, Any]) -> None:
    x, y = (np.array(axis["values"]) for axis in told["axes"])
    score, kept = 100.0 * np.array(told["score"]), np.array(told["kept"])
    drawn = panel.contourf(x, y, score, levels=12, cmap="viridis")
    lines = panel.contour(x, y, score, levels=np.asarray(drawn.levels)[::2], colors="white", linewidths=0.6)
    panel.clabel(lines, fmt="%.3g", fontsize=7.5)
    if not kept.all():
        panel.contourf(x, y, kept.astype(float), levels=[-0.5, 0.5], colors="none", hatches=["///"])
    for place in told["seen"]:
        panel.plot(*place, "^", color=ORANGE, mec=INK, ms=9, clip_on=False, zorder=5)
    if told["seen"]:
        panel.plot([], [], "^", color=ORANGE, mec=INK, ms=9, label="evidence")
    panel.plot(*told["best"], "*", color=VERMILION, mec="white", ms=15, clip_on=False, zorder=6, label="best")
    panel.set(xlim=(min(0.0, x[0]), x[-1]), ylim=(min(0.0, y[0]), y[-1]))
