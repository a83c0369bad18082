"""The public structures are the registry: names in a model file are the exported classes."""

import dataclasses
from types import ModuleType
from typing import Any

import pkpd.pd
import pkpd.pk
import pkpd.response
from pkpd.catalogue.sheet import Sheet
from pkpd.checks import did_you_mean
from pkpd.component import Component
from pkpd.pk import AbstractAbsorption, AbstractDisposition
from pkpd.response import AbstractOutcome
from pkpd.response.binary import LINKS
from pkpd.response.summary import SUMMARIES
from pkpd.units import UnitSystem

Registry = dict[str, type[Any]]

_CHOICES = {"link": LINKS, "summary": SUMMARIES}
_EMPTY: dict[Any, Any] = {str: "", float: 0.0}


def _exported(module: ModuleType, base: type) -> Registry:
    """The concrete classes of a kind that a module exports."""
    classes = {name: getattr(module, name) for name in module.__all__ if not name.startswith("Abstract")}
    return {name: cls for name, cls in classes.items() if issubclass(cls, base)}


DISPOSITIONS = _exported(pkpd.pk, AbstractDisposition)
ABSORPTIONS = _exported(pkpd.pk, AbstractAbsorption)
COMPONENTS = _exported(pkpd.pk, Component) | _exported(pkpd.pd, Component)
OUTCOMES = _exported(pkpd.response, AbstractOutcome)


def read_structure(sheet: Sheet, registry: Registry) -> type[Any] | None:
    """The class that a table names."""
    sheet.need("structure")
    name = sheet.text("structure")
    if name and name not in registry:
        sheet.fault("structure", "must be a structure for this table", did_you_mean(name[:60], registry))
    return registry.get(name)


def read_inputs(sheet: Sheet) -> dict[str, tuple[str, ...]]:
    """What a part is wired to: the output or the outputs for each input."""
    table, found = sheet.child("inputs"), {}
    for port, wired in table.table.items():
        sources = wired if isinstance(wired, list) else [wired]
        if sources and all(isinstance(source, str) and len(source) <= 200 for source in sources):
            found[port] = tuple(sources)
        else:
            table.fault(port, 'must be an output such as "drug.central", or a list of them')
    return found


def settings_of(structure: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a structure that are not numbers to be estimated."""
    return {f.name: f for f in dataclasses.fields(structure) if f.metadata.get("static")}


def read_settings(sheet: Sheet, structure: type[Any], system: UnitSystem) -> dict[str, Any]:
    """Times, texts and choices, times in the model's unit; one at fault stands as an empty value."""
    found = {}
    for name, spec in settings_of(structure).items():
        if spec.default is dataclasses.MISSING:
            sheet.need(name)
        value = _read_setting(sheet, name, spec.type, system) if name in sheet.table else None
        if value is not None:
            found[name] = value
        elif spec.default is dataclasses.MISSING:
            found[name] = _EMPTY.get(spec.type, ())
    return found


def _read_setting(sheet: Sheet, name: str, kind: Any, system: UnitSystem) -> Any:
    if kind is float:
        return sheet.duration(name, system)
    if kind is not str:
        return sheet.durations(name, system)
    return sheet.choice(name, _CHOICES[name]) if name in _CHOICES else sheet.text(name)
