"""One declaration per parameter: symbol, meaning, dimension and domain on one line."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

import equinox as eqx
import jax

Scalar = jax.Array | float | int
Domain = Literal["positive", "nonnegative", "unit", "real"]

_INTERVAL: dict[str, tuple[float, float]] = {
    "positive": (0.0, math.inf),
    "nonnegative": (0.0, math.inf),
    "unit": (0.0, 1.0),
    "real": (-math.inf, math.inf),
}


@dataclass(frozen=True)
class Declaration:
    """What a parameter is: its dimension is a word such as `volume/time`, `1`, or `*` (any).

    `multiplies` (`divides`) is the input that acts only through its product (quotient) with this
    parameter, if there is one: outcomes that know the product leave its two factors undetermined.
    """

    symbol: str
    meaning: str
    dimension: str
    domain: Domain
    default: float | None = None
    multiplies: str = ""
    divides: str = ""

    def admits(self, value: float) -> bool:
        """Whether a number lies in the domain (infinity only where it is the default)."""
        low, high = _INTERVAL[self.domain]
        if math.isnan(value) or (math.isinf(value) and value != self.default):
            return False
        return low < value <= high if self.domain == "positive" else low <= value <= high

    @property
    def rule(self) -> str:
        """The domain in words, for error messages."""
        return {
            "positive": "must be greater than 0",
            "nonnegative": "must not be negative",
            "unit": "must lie between 0 and 1",
            "real": "must be a finite number",
        }[self.domain]


def parameter(
    meaning: str,
    dimension: str,
    domain: Domain = "positive",
    default: float | None = None,
    multiplies: str = "",
    divides: str = "",
) -> Any:
    """A component's field that is a parameter; every reader, unit check and table derives from it."""
    metadata = {"parameter": (meaning, dimension, domain, default, multiplies, divides)}
    if default is None:
        return eqx.field(metadata=metadata, kw_only=True)
    return eqx.field(metadata=metadata, default=default, kw_only=True)


def count(meaning: str, default: int, most: int = 30) -> Any:
    """A component's field that is a number of like parts, from 1 to `most`; it is not estimated."""
    return eqx.field(static=True, kw_only=True, default=default, metadata={"count": (meaning, most)})


def counts(component: object) -> Mapping[str, tuple[str, int]]:
    """Meaning and largest value of a component's or its class's counts by name."""
    fields = dataclasses.fields(component)  # pyright: ignore[reportArgumentType]  (class or instance)
    return {f.name: f.metadata["count"] for f in fields if "count" in f.metadata}


def is_count(value: object, most: int) -> TypeGuard[int]:
    """Whether a value is a whole number from 1 to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def count_rule(most: int) -> str:
    """The same in words, for error messages."""
    return f"must be a whole number from 1 to {most}"


def declarations(component: object) -> Mapping[str, Declaration]:
    """The declared parameters of a component or of its class, in order of declaration."""
    found = {}
    for field in dataclasses.fields(component):  # pyright: ignore[reportArgumentType]  (class or instance)
        if "parameter" in field.metadata:
            found[field.name] = Declaration(field.name, *field.metadata["parameter"])
    return found
