"""One look for all pictures: readable at the width of a README, safe for colour-blind readers.

References: Okabe M, Ito K. Color universal design, 2008, https://jfly.uni-koeln.de/color (colours).
"""

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
INK, GREY, PALE = "#222222", "#6E6E6E", "#D9D9D9"
WIDTH = 8.6
ROW = 0.26  # inches, of a parameter that has a row

STYLE: dict[Any, Any] = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "figure.titlesize": 11.5,
    "figure.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "text.color": INK,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}

styled = mpl.rc_context(STYLE)
"""Decorates a function that draws."""


def panels(rows: int, columns: int, height: float, **grid: Any) -> tuple[Figure, np.ndarray]:
    """A figure of README width and `height` inches, and its axes [rows, columns]."""
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots(rows, columns, squeeze=False, **grid)


def describe(figure: Figure, title: str, caption: str) -> None:
    """Says in plain words what a figure shows, above it, and how to read it, below."""
    figure.suptitle(title, x=0.01, ha="left")
    lines = textwrap.fill(" ".join(caption.split()), 140)
    figure.supxlabel(lines, x=0.01, ha="left", fontsize=8, color=GREY)


def name_rows(axes: Axes, names: Sequence[str], columns: int) -> None:
    """Rows 0, 1, ... from the top by their names, and a legend of so many columns above them."""
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, borderaxespad=0.2)


def say(axes: Axes, text: str) -> None:
    """A note in the middle of a panel that has nothing to draw."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
