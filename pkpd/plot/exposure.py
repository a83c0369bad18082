"""Concentrations of the drugs over a schedule."""

from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pkpd.checks import fail
from pkpd.dosing import Regimen
from pkpd.dosing.events import Events
from pkpd.model import Drug, Model
from pkpd.plot.bands import draw_bands, middle_in_words, quantiles, spread_in_words
from pkpd.plot.style import BLUE, INK, VERMILION, describe, panels, say, styled
from pkpd.plot.times import draw_day_axis, in_days
from pkpd.simulation import Simulation, bind, in_unit

AFTER_DOSE = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0, 12.0, 15.0, 20.0])
MOLAR = ((1e6, "umol/L", "µM"), (1e3, "nmol/L", "nM"), (0.0, "pmol/L", "pM"))


def exposure_times(model: Model, regimen: Regimen | Events | str) -> Float[np.ndarray, " times"]:
    """Times that draw smooth concentrations, in the model's unit.

    Close together after each dose, six an hour on the first and the last day of each drug, and four a
    day until three days after the regimen.
    """
    events = regimen if isinstance(regimen, Events) else bind(model, regimen)
    day = model.units.day
    coarse = np.arange(0.0, events.end / day + 3.0, 0.25)
    doses = np.unique(np.round(_dose_days(events, day), 6))
    after = (doses[:, None] + AFTER_DOSE / 24.0).ravel()
    starts = {start for drug in model.drugs for start in _dosing_days(events, day, drug=drug.name)}
    fine = [start + np.arange(145) / 144 for start in sorted(starts)]
    return np.unique(np.round(np.concatenate([coarse, after, *fine]), 6)) * day


@styled
def plot_exposure(simulation: Simulation, model: Model, regimen: Regimen | Events | str) -> Figure:
    """Concentration of each drug: the whole course, and its last day of dosing beside it.

    The left axis is in IU/mL for a drug with a potency and in ng/mL for another, the right one molar.
    `simulation` holds `<drug>.central` (`exposure_times` gives times that are close enough).
    """
    events = regimen if isinstance(regimen, Events) else bind(model, regimen)
    drugs = [drug for drug in model.drugs if f"{drug.name}.central" in simulation.outputs]
    if not drugs:
        raise fail("simulation", "must hold the concentration of a drug, an output <drug>.central")
    figure, axes = panels(
        len(drugs), 2, 0.9 + 2.2 * len(drugs), sharey="row", sharex="col", width_ratios=(2.1, 1.0)
    )
    days = in_days(simulation)
    for row, drug, colour in zip(axes, drugs, (BLUE, VERMILION) * len(drugs), strict=False):
        _draw_drug(row, days, simulation.outputs[f"{drug.name}.central"], model, drug, events, colour)
    draw_day_axis(axes[-1, 0], days)
    axes[-1, 1].set_xlabel("time since the first dose of the day (h)")
    axes[-1, 1].set(xlim=(0.0, 24.0), xticks=range(0, 25, 6))
    spans = [_dosing_days(events, model.units.day, float(days[-1]), drug.name) for drug in drugs]
    several = " Dotted: the same on its first day." if any(last > first for first, last in spans) else ""
    title = "Concentrations in plasma over the course, and on " + (
        "the last day of each drug" if several else "day 1"
    )
    patients = next(iter(simulation.outputs.values()))
    describe(figure, title, f"{spread_in_words(patients)} Triangles: doses.{several}")
    return figure


def _draw_drug(
    row: np.ndarray, days: np.ndarray, pmol: Any, model: Model, drug: Drug, events: Events, colour: str
) -> None:
    path = f"{drug.name}.central"
    unit = _familiar(model, drug)
    values = np.asarray(in_unit(model, path, unit, np.asarray(pmol)) if unit else pmol)
    doses = _dose_days(events, model.units.day, drug.name)
    row[0].set_title(drug.name.capitalize(), fontweight="bold")
    row[0].set_ylabel(f"concentration ({unit or model.units.unit('amount/volume')})")
    if not values.max() > 0.0:
        for axes in row:
            say(axes, "not given")
            axes.set_yticks([])
        return
    draw_bands(row[0], days, values, colour)
    first, last = _dosing_days(events, model.units.day, float(days[-1]), drug.name)
    _draw_day(row[1], days, values, last, colour, first if first != last else None)
    top = float(quantiles(values)[-1].max())
    row[0].set_ylim(0.0, 1.14 * top)
    _mark_doses(row[0], doses)
    _mark_doses(row[1], 24.0 * (doses[(doses >= last) & (doses < last + 1.0)] - last))
    row[1].legend(
        loc="upper right", bbox_to_anchor=(1.0, 0.95), frameon=True, framealpha=0.7, edgecolor="none"
    )
    if drug.substance.molar_mass is not None:
        _molar_axis(row[1], model, path, unit, top)


def _draw_day(
    axes: Axes, days: np.ndarray, values: np.ndarray, start: float, colour: str, first: float | None
) -> None:
    within = _day_of(days, start)
    draw_bands(axes, 24.0 * (days[within] - start), values[within], colour)
    axes.set_title(f"Day {int(start) + 1}")
    if first is not None:
        within = _day_of(days, first)
        median = quantiles(values[within])[2]
        axes.plot(
            24.0 * (days[within] - first),
            median,
            ":",
            color=INK,
            lw=1.2,
            label=f"{middle_in_words(values)}, day {int(first) + 1}",
        )


def _day_of(days: np.ndarray, start: float) -> Bool[np.ndarray, " times"]:
    return (days >= start - 1e-6) & (days <= start + 1.0 + 1e-6)


def _mark_doses(axes: Axes, x: np.ndarray) -> None:
    axes.plot(
        x, np.full(len(x), 0.985), "v", color=INK, ms=3.5, transform=axes.get_xaxis_transform(), clip_on=False
    )


def _molar_axis(axes: Axes, model: Model, path: str, unit: str, top: float) -> None:
    per = float(in_unit(model, path, unit, 1.0))
    picomolar = float(in_unit(model, path, "pmol/L", 1.0)) / per
    molar, name = next((u, n) for least, u, n in MOLAR if top * picomolar >= least)
    scale = float(in_unit(model, path, molar, 1.0)) / per
    to_molar, from_molar = partial(np.multiply, scale), partial(np.multiply, 1.0 / scale)
    axis = axes.secondary_yaxis("right", functions=(to_molar, from_molar))
    axis.set_ylabel(f"concentration ({name})")


def _familiar(model: Model, drug: Drug) -> str:
    """IU/mL with a potency, ng/mL where the drug has a mass; else nothing."""
    if drug.substance.potency is not None:
        return "IU/mL"
    return "ng/mL" if drug.substance.molar_mass is not None else ""


def _dose_days(events: Events, day: float, drug: str | None = None) -> Float[np.ndarray, " doses"]:
    times = np.asarray(events.nominal, float) / day
    chosen = [drug is None or name == drug for name, _ in events.route]
    return times[np.asarray(chosen, bool)]


def _dosing_days(
    events: Events, day: float, until: float = np.inf, drug: str | None = None
) -> tuple[float, float]:
    """When the first and the last day of dosing before `until` start, in days from the first dose."""
    doses = _dose_days(events, day, drug)
    doses = doses[doses < until]
    if not len(doses):
        return 0.0, 0.0
    first = float(doses.min())
    return first, first + float(np.floor(doses.max() - first + 1e-9))
