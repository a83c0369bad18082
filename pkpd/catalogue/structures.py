"""Names in a model file are classes: those that are exported, and those of a user that have been imported."""

import dataclasses
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pkpd.pd
import pkpd.pk
import pkpd.response
from pkpd.catalogue.sheet import Sheet
from pkpd.checks import did_you_mean
from pkpd.component import Component
from pkpd.pk import AbstractAbsorption, AbstractDisposition
from pkpd.response import AbstractOutcome, AbstractResidual
from pkpd.response.binary import LINKS
from pkpd.response.summary import SUMMARIES
from pkpd.units import UnitSystem

_CHOICES = {"link": LINKS, "summary": SUMMARIES}
_EMPTY: dict[Any, Any] = {str: "", float: 0.0}


@dataclass(frozen=True)
class Registry:
    """The concrete classes of a kind, by name."""

    base: type
    modules: tuple[ModuleType, ...]

    def exported(self) -> dict[str, type[Any]]:
        """Those of this package."""
        found = {name: getattr(module, name) for module in self.modules for name in module.__all__}
        return {name: cls for name, cls in found.items() if self._holds(name, cls)}

    def own(self) -> dict[str, type[Any]]:
        """Those that a user's code has defined, the latest of a name."""
        found, todo = {}, [self.base]
        while todo:
            cls = todo.pop(0)
            todo += cls.__subclasses__()
            if cls.__module__.partition(".")[0] != "pkpd" and self._holds(cls.__name__, cls):
                found[cls.__name__] = cls
        return found

    def _holds(self, name: str, cls: type) -> bool:
        return not name.startswith(("Abstract", "_")) and issubclass(cls, self.base)


DISPOSITIONS = Registry(AbstractDisposition, (pkpd.pk,))
ABSORPTIONS = Registry(AbstractAbsorption, (pkpd.pk,))
COMPONENTS = Registry(Component, (pkpd.pk, pkpd.pd))
OUTCOMES = Registry(AbstractOutcome, (pkpd.response,))
RESIDUALS = Registry(AbstractResidual, (pkpd.response,))


def read_structure(sheet: Sheet, registry: Registry) -> type[Any] | None:
    """The class that a table names."""
    sheet.need("structure")
    name = sheet.text("structure")
    exported, own = registry.exported(), registry.own()
    if name in exported and name in own:
        where = own[name].__module__
        sheet.fault("structure", "must be the name of one class", f"Rename the {name} of {where}.")
    elif name and name not in exported | own:
        hint = did_you_mean(name[:60], exported | own)
        sheet.fault("structure", "must be a structure for this table", hint)
    return (own | exported).get(name)


def code_of(structures: Iterable[type[Any]]) -> dict[str, str]:
    """The source of a user's classes by name, as far as it is known: it decides answers as the file does."""
    found = {}
    for cls in (cls for cls in structures if cls.__module__.partition(".")[0] != "pkpd"):
        try:
            found[cls.__name__] = inspect.getsource(cls)
        except (OSError, TypeError):
            found[cls.__name__] = cls.__qualname__
    return found


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
        value = _read_setting(sheet, name, spec, system) if name in sheet.table else None
        if value is not None:
            found[name] = value
        elif spec.default is dataclasses.MISSING:
            found[name] = _EMPTY.get(spec.type, ())
    return found


def _read_setting(sheet: Sheet, name: str, spec: dataclasses.Field[Any], system: UnitSystem) -> Any:
    if "count" in spec.metadata:
        return sheet.count(name, spec.metadata["count"][1])
    if spec.type is float:
        return sheet.duration(name, system)
    if spec.type is not str:
        return sheet.durations(name, system)
    return sheet.choice(name, _CHOICES[name]) if name in _CHOICES else sheet.text(name)
