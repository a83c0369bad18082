"""How covariates act on the parameters of a part: `e_<covariate>_<parameter>` in its table, read."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from pkpd.card import Quantity, Source
from pkpd.catalogue.covariates import Covariates
from pkpd.catalogue.sheet import KEYS, SPREADS, Sheet, Slot, read_quantity, to_unit
from pkpd.parameters import Declaration
from pkpd.population import FORMS, CovariateEffect

_KEYS = ("form", *(key for key in KEYS if key not in SPREADS))
_EXAMPLE = 'unit = "1", form = "power"'

Found = tuple[CovariateEffect, Quantity]


class Acting(NamedTuple):
    """What acts on what: a covariate, or one level of it, on a parameter."""

    covariate: str
    symbol: str
    level: tuple[str, float] | None


def effect_keys(sheet: Sheet, parameters: Collection[str], covariates: Covariates) -> dict[str, Acting]:
    """The keys of a table that are effects, each with what it means."""
    known: dict[str, Acting] = {}
    for covariate, reference in covariates.quantities.items():
        levels = [(name, n) for name, n, _ in covariates.levels.get(covariate, ()) if n != reference.value]
        for symbol in parameters:
            each = {f"{covariate}_{level[0]}": level for level in levels} or {covariate: None}
            known |= {f"e_{word}_{symbol}": Acting(covariate, symbol, level) for word, level in each.items()}
    strange = (key for key in sheet.table if key.startswith("e_") and key not in {*known, *parameters})
    for key in strange:
        rule = "must be e_<covariate>_<parameter>, a covariate of [covariates] and a parameter of this table"
        levels = "e_<covariate>_<level>_<parameter>, a level that is not the reference"
        hint = f"A covariate with levels acts by {levels}." if covariates.levels else ""
        sheet.findings.add(sheet.at(key), rule, key[:60], hint)
    return {key: known[key] for key in sheet.table if key in known}


def read_effect(
    slot: Slot, owner: str, acting: Acting, reference: Quantity, sources: Mapping[str, Source]
) -> Found | None:
    """The effect of a covariate on a parameter, with its coefficient; None where one is at fault."""
    parent, key = slot
    table = parent.table[key]
    form = _form(parent.child(key), acting) if isinstance(table, dict) else None
    unit = _per(reference) if form in ("exponential", "linear") else "1"
    domain = "positive" if form == "factor" else "real"
    parameter = f"{owner}.{acting.symbol}"
    declaration = Declaration(key, f"effect of {acting.covariate} on {parameter}", unit, domain)
    quantity = read_quantity(slot, declaration, to_unit(unit), sources, keys=_KEYS, example=_EXAMPLE)
    value = reference.value_in_system
    if form == "power" and not value > 0.0:
        parent.child(key).fault(
            "form", f"must have another form, because the reference of {acting.covariate} is {value:g}"
        )
        return None
    if form is None or quantity is None:
        return None
    return CovariateEffect(parameter, acting.covariate, form, value, acting.level), quantity


def _form(sheet: Sheet, acting: Acting) -> str | None:
    sheet.need("form")
    return sheet.choice("form", [form for form in FORMS if form != "power" or acting.level is None])


def _per(reference: Quantity) -> str:
    return "1" if reference.dimension == "1" else f"1/({reference.dimension})"


def told(effect: CovariateEffect, reference: Quantity) -> str:
    """An effect in words."""
    if effect.level:
        return f"{effect.form} where {effect.covariate} is {effect.level[0]}"
    unit = "" if reference.unit == "1" else f" {reference.unit}"
    return f"{effect.form} of {effect.covariate}, reference {reference.value:g}{unit}"
