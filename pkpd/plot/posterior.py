"""What the data add to the prior, parameter by parameter."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import gaussian_kde, norm

from pkpd.checks import Findings
from pkpd.infer.prior import Prior
from pkpd.plot.style import BLUE, INK, ORANGE, describe, panels, styled

INFORMED, PARTLY = 0.5, 0.2
COLUMNS = 4
KINDS = (
    (INFORMED, BLUE, f"posterior, contraction ≥ {100 * INFORMED:.0f} %: the data inform"),
    (PARTLY, ORANGE, f"≥ {100 * PARTLY:.0f} %: partly"),
    (-np.inf, "#B5B5B5", "less: the prior decides"),
)


@styled
def plot_posterior(
    estimates: Mapping[str, Mapping[str, Any]], draws: np.ndarray, priors: Sequence[tuple[str, Prior]]
) -> Figure:
    """Prior and posterior density of each parameter, the best informed first.

    `draws` [..., params] are on the scale on which each prior is standard normal, in the order of
    `priors` (`Fit.draws` and `Problem.priors`); ticks show the parameter itself, in the unit of
    `estimates` (`Fit.estimates`, which also hold the contraction).
    """
    flat = np.asarray(draws, float).reshape(-1, np.shape(draws)[-1])
    _check(estimates, flat, priors)
    order = np.argsort([-estimates[path]["contraction"] for path, _ in priors], kind="stable")
    rows = -(-len(priors) // COLUMNS)
    figure, axes = panels(rows + 1, COLUMNS, 1.1 + 1.42 * rows, height_ratios=(0.12,) + (1.0,) * rows)
    _explain(axes[0])
    for panel, i in zip(axes[1:].flat, order, strict=False):
        _draw_parameter(panel, priors[i][0], priors[i][1], flat[:, i], estimates[priors[i][0]])
    for panel in axes[1:].flat[len(priors) :]:
        panel.set_visible(False)
    for panel in axes[1:, 0]:
        panel.set_ylabel("density")
    describe(
        figure,
        "What the data say about each parameter, beyond the prior",
        "Each axis is stretched so that the prior is a standard normal (densities are per unit of that "
        "scale); ticks: 2.5 %, median and 97.5 % of the prior. Percentage: contraction, the share of the "
        "prior's variance on this scale that the data remove.",
    )
    return figure


def _check(estimates: Mapping[str, Any], draws: np.ndarray, priors: Sequence[tuple[str, Prior]]) -> None:
    findings = Findings()
    if draws.shape[1] != len(priors):
        findings.add("draws", f"must have {len(priors)} parameters on the last axis", draws.shape[1])
    elif len(draws) < 2 or not np.all(np.std(draws, axis=0) > 0.0):
        findings.add("draws", "must vary in every parameter")
    for path, _ in priors:
        if path not in estimates:
            findings.add(f"estimates.{path}", "must be there, as for every prior")
    findings.raise_if_any()


def _explain(row: np.ndarray) -> None:
    """The legend of all panels, in a row of its own."""
    for axes in row:
        axes.axis("off")
    handles: list[Artist] = [Line2D([], [], color=INK, ls="--", lw=1.1, label="prior")]
    handles += [Patch(color=colour, alpha=0.75, label=text) for _, colour, text in KINDS]
    row[0].legend(handles=handles, loc="center left", ncols=4, borderaxespad=0.0).set_in_layout(False)


def _draw_parameter(
    axes: Axes, path: str, prior: Prior, draws: np.ndarray, estimate: Mapping[str, Any]
) -> None:
    x = np.linspace(-3.6, 3.6, 241)
    contraction = estimate["contraction"]
    colour = next(colour for least, colour, _ in KINDS if contraction >= least)
    density = gaussian_kde(draws)(x)
    axes.fill_between(x, density, color=colour, alpha=0.75, lw=0)
    axes.plot(x, norm.pdf(x), color=INK, ls="--", lw=1.1)
    weight = "bold" if contraction >= INFORMED else "normal"
    axes.set_title(f"{path}\n{100 * contraction:.0f} %", fontsize=8, fontweight=weight)
    places = norm.ppf([0.025, 0.5, 0.975])
    values = np.asarray(prior.natural(jnp.asarray(places)))
    axes.set_xticks(places, [short(float(value)) for value in values])
    axes.set(xlim=(-3.6, 3.6), ylim=(0.0, None), yticks=[])
    axes.tick_params(labelsize=7.5)
    unit = estimate["unit"]
    axes.set_xlabel(f"({unit})" if unit else "(model unit)", fontsize=7.5, labelpad=1)


def short(value: float) -> str:
    """Two digits, without an exponent between 0.001 and 10,000."""
    if value == 0.0 or 1e-3 <= abs(value) < 1e4:
        text = np.format_float_positional(value, 2, unique=False, fractional=False, trim="-")
    else:
        digits, power = f"{value:.1e}".split("e")
        text = f"{digits}e{int(power)}"
    return text.replace("-", "−")
