"""How covariates act on the parameters of a part: `e_<covariate>_<parameter>` in its table, read."""

from collections.abc import Collection, Mapping

from pkpd.card import Quantity, Source
from pkpd.catalogue.sheet import KEYS, Sheet, Slot, read_quantity, to_unit
from pkpd.parameters import Declaration
from pkpd.population import FORMS, CovariateEffect

_KEYS = ("form", *(key for key in KEYS if not key.startswith("iiv")))
_EXAMPLE = 'unit = "1", form = "power"'

Found = tuple[CovariateEffect, Quantity]


def effect_keys(
    sheet: Sheet, parameters: Collection[str], covariates: Collection[str]
) -> dict[str, tuple[str, str]]:
    """The keys of a table that are effects, each with its covariate and its parameter."""
    pairs = {f"e_{c}_{p}": (c, p) for c in covariates for p in parameters}
    strange = (key for key in sheet.table if key.startswith("e_") and key not in {*pairs, *parameters})
    for key in strange:
        rule = "must be e_<covariate>_<parameter>, a covariate of [covariates] and a parameter of this table"
        sheet.findings.add(sheet.at(key), rule, key[:60])
    return {key: pairs[key] for key in sheet.table if key in pairs}


def read_effect(
    slot: Slot, parameter: str, covariate: str, reference: Quantity, sources: Mapping[str, Source]
) -> Found | None:
    """The effect of a covariate on a parameter, with its coefficient; None where one is at fault."""
    parent, key = slot
    table = parent.table[key]
    form = _form(parent.child(key)) if isinstance(table, dict) else None
    unit = _per(reference) if form in ("exponential", "linear") else "1"
    declaration = Declaration(key, f"effect of {covariate} on {parameter}", unit, "real")
    quantity = read_quantity(slot, declaration, to_unit(unit), sources, keys=_KEYS, example=_EXAMPLE)
    value = reference.value_in_system
    if form == "power" and not value > 0.0:
        parent.child(key).fault(
            "form", f"must have another form, because the reference of {covariate} is {value:g}"
        )
        return None
    if form is None or quantity is None:
        return None
    return CovariateEffect(parameter, covariate, form, value), quantity


def _form(sheet: Sheet) -> str | None:
    sheet.need("form")
    return sheet.choice("form", FORMS)


def _per(reference: Quantity) -> str:
    return "1" if reference.dimension == "1" else f"1/({reference.dimension})"


def told(effect: CovariateEffect, reference: Quantity) -> str:
    """An effect in words."""
    unit = "" if reference.unit == "1" else f" {reference.unit}"
    return f"{effect.form} of {effect.covariate}, reference {reference.value:g}{unit}"
