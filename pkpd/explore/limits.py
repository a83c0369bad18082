"""What a schedule must keep to: limits as text, and the caps that model files state with their source."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pkpd.card import Card
from pkpd.checks import Findings
from pkpd.dosing import terms
from pkpd.explore.quantities import Quantity, known_unit, read_quantity
from pkpd.model import Model

PLACE = "--subject-to"
TOLERANCE = 1e-6  # of a limit, by which it may be passed
_TEXT = re.compile(rf"(?P<name>.+?)\s*(?P<sign><=|>=|≤|≥|=)\s*(?P<value>{terms.NUMBER})\s*(?P<unit>.*)")
_SIGNS = {"≤": "<=", "≥": ">="}
_RULE = 'must be QUANTITY <= VALUE UNIT, such as "aldesleukin.total <= 84 MIU"'


@dataclass(frozen=True)
class Limit:
    """A quantity that must be at most (`<=`) or at least (`>=`) a value, in the quantity's unit.

    A cap has a `source`, the place in it (`at`) and a reason.
    """

    quantity: Quantity
    sign: str
    value: float
    source: str = ""
    at: str = ""
    why: str = ""

    def __str__(self) -> str:
        unit = "" if self.quantity.unit in ("", "1") else f" {self.quantity.unit}"
        return f"{self.quantity.name} {self.sign} {self.value:g}{unit}"

    @property
    def scale(self) -> float:
        """By what a slack is divided."""
        return max(abs(self.value), 1e-12)

    def slack(self, value: float) -> float:
        """How far a value keeps to the limit, relative to it; negative where it does not."""
        away = self.value - value if self.sign == "<=" else value - self.value
        return away / self.scale

    def kept(self, value: float) -> bool:
        """Whether a value keeps to the limit."""
        return self.slack(value) >= -TOLERANCE

    def binds(self, value: float) -> bool:
        """Whether a value is at the limit, within a thousandth."""
        return abs(self.slack(value)) <= 1e-3


def read_relation(
    model: Model, text: str, signs: Sequence[str], place: str, rule: str, found: Findings
) -> tuple[Quantity, str, float] | None:
    """Quantity, sign and value of a text; faults go to `found`."""
    match = _TEXT.fullmatch(" ".join(text.split()))
    sign = _SIGNS.get(match["sign"], match["sign"]) if match else ""
    if match is None or sign not in signs:
        found.add(place, rule, text)
        return None
    quantity = read_quantity(model, match["name"], place, found)
    if quantity is not None:
        quantity = known_unit(model, quantity, match["unit"].strip(), place, found)
    return None if quantity is None else (quantity, sign, float(match["value"]))


def read_limit(model: Model, text: str, found: Findings) -> Limit | None:
    """The limit that a text spells."""
    told = read_relation(model, text, ("<=", ">="), PLACE, _RULE, found)
    if told is None:
        return None
    limit = Limit(*told)
    if limit.value < 0.0:
        found.add(PLACE, "must have a limit that is not negative", text)
    return limit


def check_together(limits: Sequence[Limit], found: Findings) -> None:
    """Whether limits of one quantity contradict each other."""
    for least in (limit for limit in limits if limit.sign == ">="):
        for most in (limit for limit in limits if limit.sign == "<="):
            a, b = (limit.value * limit.quantity.factor for limit in (least, most))
            if most.quantity.name == least.quantity.name and a > b:
                found.add(PLACE, "must not contradict each other", f"{least}; {most}")


def caps_of(card: Card, model: Model, drugs: Sequence[str]) -> list[Limit]:
    """The caps that a model file and its drug files state, of drugs in use."""
    found, limits = Findings(), []
    for inner in [card, *card.drugs.values()]:
        name = inner.drug.name if inner.drug else ""
        for cap in inner.caps if name in drugs else ():
            told = f"{name}.{cap.quantity} <= {cap.value:.17g} {cap.unit}"
            relation = read_relation(model, told, ("<=",), "caps", _RULE, found)
            if relation is not None:
                source = str(card.sources.get(cap.source, cap.source))
                limits.append(Limit(*relation, source=source, at=cap.at, why=cap.why))
    found.raise_if_any()
    return limits
