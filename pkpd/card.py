"""What a model file says, as plain data: numbers with their sources, structures, published facts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pkpd.units import Substance, UnitSystem

ASSUMED = "assumed"
QUANTITIES = ("cmax", "tmax", "auc", "cavg", "ctrough", "thalf", "cmin", "tmin", "css")
KINDS = ("calibration", "independent")
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Document:
    """A model file as read: the name of the model, the file's name in messages, its tables."""

    name: str
    label: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """A publication."""

    citation: str
    doi: str = ""
    pmid: str = ""
    note: str = ""

    def __str__(self) -> str:
        ids = [f"doi: {self.doi}." if self.doi else "", f"PMID: {self.pmid}." if self.pmid else ""]
        return " ".join(part for part in (self.citation, *ids) if part)


@dataclass(frozen=True)
class Quantity:
    """A number as written, how many of the model's units its unit is (`factor`), and where it comes from.

    `rse` or `ci95` (as written) is the uncertainty of the typical value; `iiv` is the SD between patients and
    `iov` that between occasions, of the logarithm or of what `form` says. Virtual patients have the `median`,
    where it is not the value, and keep `within` bounds.
    """

    value: float
    unit: str
    dimension: str
    factor: float
    source: str
    at: str = ""
    why: str = ""
    rse: float | None = None
    ci95: tuple[float, float] | None = None
    iiv: float | None = None
    note: str = ""
    iov: float | None = None
    form: str = "lognormal"
    median: float | None = None
    within: tuple[float, float] | None = None

    def spread_in_system(self, size: float) -> float:
        """`iiv` or `iov` in the units of the loaded model."""
        return size * self.factor if self.form == "normal" else size

    @property
    def value_in_system(self) -> float:
        """The value in the units of the loaded model."""
        return self.value * self.factor

    @property
    def log_sd(self) -> float | None:
        """SD of the log of the typical value, log-normal with that `rse` or 95 % range; None without."""
        if self.rse is not None:
            return math.sqrt(math.log1p(self.rse**2))
        if self.ci95 is not None and self.ci95[0] > 0.0:
            return math.log(self.ci95[1] / self.ci95[0]) / (2.0 * _Z95)
        return None


@dataclass(frozen=True)
class Part:
    """A component or an outcome: its class, what it is wired to, its settings in the model's units, and in
    words how covariates act by its coefficients."""

    structure: str
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    effects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fact:
    """A published observation: a `quantity` of `output` between `start` and `until` (model time).

    `value`, `low` and `high` are in `unit`; one `unit` is `factor` units of the model. `why` tells
    the reason where the model misses the fact.
    """

    regimen: str
    quantity: str
    output: str
    start: float
    until: float
    value: float
    low: float
    high: float
    unit: str
    factor: float
    kind: str
    source: str
    at: str
    spread: str = ""
    why: str = ""


@dataclass(frozen=True)
class Cap:
    """The most that may be given of a drug by default: `quantity` is `total`, `daily`, `weekly` or the most
    `within(90 d)`; `value` is in `unit`, which may be per kg or m2."""

    quantity: str
    value: float
    unit: str
    source: str
    at: str
    why: str


@dataclass(frozen=True)
class DrugCard:
    """A drug's name and how its amounts convert: `molar_mass` to g/mol, `potency` to IU/mg."""

    name: str
    molar_mass: Quantity | None = None
    potency: Quantity | None = None

    @property
    def substance(self) -> Substance:
        values = [q.value_in_system if q else None for q in (self.molar_mass, self.potency)]
        return Substance(*values)


@dataclass(frozen=True)
class Card:
    """A model file read: parameters and parts by path, and all that backs them.

    `drugs` are the cards of the drug files in use; their parameters, sources and covariates are
    in this card too, and all factors lead to the units of the loaded model.
    """

    name: str
    title: str
    summary: str
    units: UnitSystem
    sources: Mapping[str, Source]
    drug: DrugCard | None
    parts: Mapping[str, Part]
    parameters: Mapping[str, Quantity]
    covariates: Mapping[str, Quantity]
    reproduces: tuple[Fact, ...]
    misses: tuple[Fact, ...]
    digest: str
    drugs: Mapping[str, "Card"] = field(default_factory=dict)
    levels: Mapping[str, tuple[tuple[str, float, float], ...]] = field(default_factory=dict)
    caps: tuple[Cap, ...] = ()


def citations(card: Card) -> list[str]:
    """The sources of a model and of its drugs, each once, in order."""
    return list(dict.fromkeys(map(str, card.sources.values())))
