"""Units at the doors: text in, numbers in the model's one consistent system out."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

DIMENSIONS = (
    "1",
    "time",
    "1/time",
    "amount",
    "amount/time",
    "amount/volume",
    "amount*time/volume",
    "volume",
    "volume/time",
    "volume/amount",
    "volume/amount/time",
    "1/volume",
    "length",
    "1/length",
)


class UnitError(ValueError):
    """A unit that does not exist or has another dimension; the text is the broken rule."""


@dataclass(frozen=True)
class Substance:
    """How amounts of a drug convert: `molar_mass` in g/mol, `potency` in IU/mg."""

    molar_mass: float | None = None
    potency: float | None = None


@dataclass(frozen=True)
class UnitSystem:
    """The unit of each base dimension inside one model."""

    time: str = "day"
    amount: str = "pmol"
    volume: str = "L"
    length: str = "mm"

    @property
    def day(self) -> float:
        """One day in this system's unit of time."""
        return {"h": 24.0, "day": 1.0, "min": 1440.0, "week": 1 / 7}[self.time]

    def unit(self, dimension: str) -> str:
        """The unit of a dimension word, for instance `L/day` for `volume/time`."""
        for word in ("time", "amount", "volume", "length"):
            dimension = dimension.replace(word, getattr(self, word))
        return dimension


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint

    registry: Any = pint.UnitRegistry()
    registry.define("international_unit = [international_unit] = IU")
    registry.define("MIU = 1e6 * international_unit")
    registry.define("mcg = microgram")
    return registry


@lru_cache(maxsize=1024)
def factor(unit: str, target: str, substance: Substance = Substance()) -> float:
    """How many `target` units one `unit` is; amounts convert through the substance."""
    have, want = 1.0 * _parse(unit), 1.0 * _parse(target)
    if have.dimensionality != want.dimensionality:
        have, want = _as_mass(have, substance), _as_mass(want, substance)
    if have.dimensionality != want.dimensionality:
        raise UnitError(f'must be convertible to "{target}"')
    return float((have / want).to("dimensionless").magnitude)


def _as_mass(quantity: Any, substance: Substance) -> Any:
    """The same quantity with IU and moles replaced by grams."""
    registry = _registry()
    activity = quantity.dimensionality.get("[international_unit]", 0)
    if activity:
        if substance.potency is None:
            raise UnitError("must not be in IU, because the drug states no potency")
        quantity = quantity * (registry.milligram / (substance.potency * registry.IU)) ** activity
    moles = quantity.dimensionality.get("[substance]", 0)
    if moles:
        if substance.molar_mass is None:
            raise UnitError("must not mix mass and moles, because the drug states no molar mass")
        quantity = quantity * (substance.molar_mass * registry.gram / registry.mole) ** moles
    return quantity


def _parse(unit: str) -> Any:
    text = unit.strip()
    if text in ("", "1"):
        return _registry().dimensionless
    if len(text) > 60:
        raise UnitError("must be a unit of at most 60 characters")
    try:
        return _registry().parse_units(text)
    except Exception as error:
        raise UnitError("must be a known unit") from error


def dimension_of(unit: str, system: UnitSystem, substance: Substance = Substance()) -> str:
    """The dimension word of a unit, for declarations that leave it open."""
    for dimension in DIMENSIONS:
        try:
            factor(unit, system.unit(dimension), substance)
        except UnitError:
            continue
        return dimension
    _parse(unit)
    raise UnitError(f"must be a unit of one of: {', '.join(DIMENSIONS)}")


def to_system(
    value: float, unit: str, dimension: str, system: UnitSystem, substance: Substance = Substance()
) -> float:
    """A value with a unit as a number in the model's system; raises `UnitError`."""
    if dimension == "*":
        dimension = dimension_of(unit, system, substance)
    try:
        return value * factor(unit, system.unit(dimension), substance)
    except UnitError as error:
        if "convertible" in str(error):
            raise UnitError(f"must be {dimension}") from error
        raise
