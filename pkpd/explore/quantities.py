"""Quantities of a schedule: outcomes, exposures of a drug, amounts, and what it asks of patients and clinics.

| name | what |
|---|---|
| `regression`, `alive(365 d)`, `cr+pr` | probability of an outcome |
| `DRUG.auc` `.cmax` `.cmin` `.cavg` `.ctrough` | of the last dosing interval, typical patient |
| `DRUG.total_auc` | area from the first dose to the end of the last interval, typical patient |
| `DRUG.total` `DRUG.daily` `DRUG.weekly` `DRUG.within(90 d)` | all of a drug, or the most in any such time |
| `DRUG.doses` | how many doses of a drug |
| `injections`, `clinic_days` | doses that are not taken by mouth, and days with one |
| `duration` | from the start to the end of the regimen |
"""

import re
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.dosing import terms
from pkpd.dosing.events import Events
from pkpd.endpoints import endpoint_of, label, outcome_names
from pkpd.model import Model
from pkpd.response.joint import Endpoint
from pkpd.simulation import units_of
from pkpd.units import Substance, UnitError, factor, to_system

EXPOSURES = ("auc", "cmax", "cmin", "cavg", "ctrough", "total_auc")
WINDOWS = {"daily": 24.0, "weekly": 168.0}
OF_DRUG = (*EXPOSURES, "total", *WINDOWS, "within(90 d)", "doses")
OF_ALL = ("injections", "clinic_days", "duration")
BY_MOUTH = "po"
_NEAR = 1e-6  # hours

_TIMED = re.compile(r"(\w+)\((.+)\)")


@dataclass(frozen=True)
class Quantity:
    """A number of a schedule, in `unit` for people, of which one is `factor` of the model's units.

    `kind`: `outcome`, `exposure`, `amount` or `count`; `hours`: the window of an amount, infinite for all.
    """

    name: str
    kind: str
    unit: str = "1"
    factor: float = 1.0
    drug: str = ""
    metric: str = ""
    hours: float = np.inf
    endpoint: Endpoint | None = None

    def in_unit(self, model: Model, unit: str) -> "Quantity":
        """The same in another unit; raises `UnitError`."""
        if self.kind == "outcome":
            share = 0.01 if unit == "%" else factor(unit, "1")
            return replace(self, unit=unit or "1", factor=share)
        own = next((d.substance for d in model.drugs if d.name == self.drug), Substance())
        if self.kind == "amount":
            name, _, per = unit.partition("/")
            share = _reference(model, per)
            return replace(self, unit=unit, factor=share * to_system(1.0, name, "amount", model.units, own))
        if self.kind == "exposure":
            return replace(self, unit=unit, factor=factor(unit, exposure_unit(model, self), own))
        if self.name == "duration":
            return replace(self, unit=unit, factor=factor(unit or "day", model.units.time))
        if unit not in ("", "1"):
            raise UnitError("must have no unit: it is a count")
        return self


def _reference(model: Model, per: str) -> float:
    """What an amount per kg or per m2 is multiplied by."""
    if not per:
        return 1.0
    name = {"kg": "wt", "m2": "bsa"}.get(terms.PER.get(per, ""))
    if name is None or name not in model.references:
        raise UnitError("must be a unit of amount, or one per kg or m2 where the model has their reference")
    return float(model.references[name])


def exposure_unit(model: Model, quantity: Quantity) -> str:
    """The model's unit of an exposure."""
    unit = dict(units_of(model))[f"{quantity.drug}.central"]
    return f"{unit}*{model.units.time}" if quantity.metric.endswith("auc") else unit


def outcome_of(model: Model, text: str) -> Endpoint | None:
    """The outcome that a text names; None where there is none."""
    try:
        return endpoint_of(model, text)
    except InputError:
        return None


def quantity_names(model: Model) -> list[str]:
    """The names of quantities of a model's schedules."""
    return [*outcome_names(model), *OF_ALL, *(f"{d.name}.{name}" for d in model.drugs for name in OF_DRUG)]


def read_quantity(model: Model, text: str, place: str, found: Findings) -> Quantity | None:
    """The quantity that a text names; faults go to `found`."""
    text = " ".join(text.split())
    endpoint = outcome_of(model, text)
    if endpoint is not None:
        return Quantity(label(model, endpoint), "outcome", endpoint=endpoint)
    if text in OF_ALL:
        own = model.units.day if text == "duration" else 1.0
        return Quantity(text, "count", "d" if text == "duration" else "1", own)
    drug, _, metric = text.partition(".")
    if drug in {d.name for d in model.drugs}:
        quantity = _of_drug(model, text, drug, metric)
        if quantity is not None:
            return quantity
    names = quantity_names(model)
    found.add(place, "must name an outcome or a quantity of the schedule", text, did_you_mean(text, names))
    return None


def _of_drug(model: Model, text: str, drug: str, metric: str) -> Quantity | None:
    if metric in EXPOSURES:
        quantity = Quantity(text, "exposure", drug=drug, metric=metric)
        return replace(quantity, unit=exposure_unit(model, quantity))
    if metric == "doses":
        return Quantity(text, "count", drug=drug, metric=metric)
    match = _TIMED.fullmatch(metric)
    try:
        hours = terms.hours(match[2]) if match and match[1] == "within" else WINDOWS.get(metric, np.inf)
    except InputError:
        return None
    if metric != "total" and not np.isfinite(hours):
        return None
    return Quantity(text, "amount", model.units.amount, 1.0, drug, metric, float(hours))


def windows(model: Model, quantity: Quantity, events: Events) -> Float[np.ndarray, "windows doses"]:
    """Which doses count in each window of an amount: the whole course, or the hours from each dose on."""
    mine = np.array([drug == quantity.drug for drug, _ in events.route], bool)
    hours = np.array(events.nominal, float) * 24.0 / model.units.day
    if not mine.any():
        return np.zeros((1, len(mine)))
    if np.isinf(quantity.hours):
        return mine[None].astype(float)
    since = hours[None] - hours[mine][:, None]
    inside = (since > -_NEAR) & (since < quantity.hours - _NEAR) & mine
    return np.unique(inside, axis=0).astype(float)


def counted(
    model: Model, quantity: Quantity, events: Events, given: Bool[np.ndarray, " doses"] | None = None
) -> float:
    """A count of a schedule in the model's units; a dose of nothing, or one that is not `given`, is none."""
    kept = np.asarray(events.amount) > 0.0 if given is None else given
    if quantity.name == "duration":
        return float(events.end)
    doses = [
        (*route, t) for route, t, is_given in zip(events.route, events.nominal, kept, strict=True) if is_given
    ]
    if quantity.drug:
        return float(sum(drug == quantity.drug for drug, _, _ in doses))
    times = [t for _, route, t in doses if route != BY_MOUTH]
    if quantity.name == "injections":
        return float(len(times))
    return float(len({int(np.floor(t / model.units.day + _NEAR / 24.0)) for t in times}))


def of_amounts(model: Model, quantity: Quantity, events: Events) -> float:
    """An amount or a count of a schedule, in the quantity's unit."""
    if quantity.kind == "count":
        return counted(model, quantity, events) / quantity.factor
    found = windows(model, quantity, events) @ np.asarray(events.amount)
    return float(found.max(initial=0.0)) / quantity.factor


def last_interval(model: Model, events: Events, drug: str) -> tuple[float, ...]:
    """The times at which a drug is given and the end of its last interval, as `exposure` has them."""
    times = sorted({t for (name, _), t in zip(events.route, events.nominal, strict=True) if name == drug})
    if not times:
        return ()
    last = times[-1] - times[-2] if len(times) > 1 else max(model.units.day, events.end - times[0])
    return (*times, times[-1] + last)


def known_unit(model: Model, quantity: Quantity, unit: str, place: str, found: Findings) -> Quantity | None:
    """A quantity in another unit; faults go to `found`."""
    try:
        return quantity.in_unit(model, unit)
    except UnitError as error:
        found.add(place, f"{quantity.name} {error}", unit)
        return None
