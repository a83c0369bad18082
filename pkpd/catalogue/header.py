"""What every model file has besides its structures: version, title, sources, units, covariates, the drug."""

import dataclasses
import re
from dataclasses import dataclass

from pkpd.card import Document, DrugCard, Quantity, Source
from pkpd.catalogue.covariates import Covariates, read_covariates
from pkpd.catalogue.sheet import Sheet, read_quantity, read_sources, to_unit
from pkpd.checks import Findings
from pkpd.dosing.language import is_name
from pkpd.parameters import Declaration
from pkpd.units import Substance, UnitError, UnitSystem, factor

ONE_WORD = "must be one word that means nothing else in a regimen"
_AMOUNTS = {
    "molar_mass": Declaration("molar_mass", "molar mass", "g/mol", "positive"),
    "potency": Declaration("potency", "potency", "IU/mg", "positive"),
}
_COMMON = (
    "schema",
    "extends",
    "title",
    "summary",
    "sources",
    "units",
    "covariates",
    "reproduces",
    "misses",
    "components",
    "residuals",
    "correlations",
)
_DRUG = ("drug", "pk", "routes")
_OF_DRUG = (*_DRUG, "caps")
_OF_MODEL = ("drugs", "outcomes")


@dataclass(frozen=True)
class Page:
    """A file under reading; `valid` unless its version forbids to read on."""

    document: Document
    root: Sheet
    units: UnitSystem
    sources: dict[str, Source]
    covariates: Covariates
    valid: bool

    @property
    def is_drug(self) -> bool:
        """Whether this is the file of a drug."""
        return any(key in self.root.table for key in _DRUG)


def open_page(document: Document) -> Page:
    """The parts of a file that do not depend on its structures."""
    root = Sheet(document.content, "", Findings(document.label))
    schema = root.table.get("schema")
    if isinstance(schema, bool) or schema != 1:
        root.fault("schema", "must be 1")
    if schema is not None and root.findings.faults:
        return Page(document, root, UnitSystem(), {}, Covariates(), False)
    sources = read_sources(root)
    page = Page(document, root, _read_units(root), sources, read_covariates(root, sources), True)
    own = _OF_DRUG if page.is_drug else _OF_MODEL
    root.known((*_COMMON, *own), f"must be a table of a {'drug' if page.is_drug else 'disease'} model")
    root.need("title")
    for key in ("title", "summary"):
        root.text(key)
    return page


def read_drug(page: Page) -> DrugCard:
    """The drug of a file; a number at fault stands as some number, a name as none."""
    page.root.need("drug")
    sheet = page.root.child("drug")
    sheet.known(("name", *_AMOUNTS), "must be a key of a drug")
    sheet.need("name")
    name = sheet.text("name")
    if name and not is_name(name):
        sheet.fault("name", ONE_WORD)
        name = ""
    found = _read_quantities(sheet, _AMOUNTS, page.sources)
    stand_in = {key: Quantity(1.0, "", "", 1.0, "") for key in _AMOUNTS if key in sheet.table}
    return DrugCard(name, **stand_in | found)


def _read_quantities(
    sheet: Sheet, declared: dict[str, Declaration], sources: dict[str, Source]
) -> dict[str, Quantity]:
    found = {}
    for key, declaration in declared.items():
        if key in sheet.table:
            found[key] = read_quantity((sheet, key), declaration, to_unit(declaration.dimension), sources)
    return {key: quantity for key, quantity in found.items() if quantity is not None}


def _read_units(root: Sheet) -> UnitSystem:
    """The unit system of a file; a unit at fault stands as the default one."""
    sheet, default = root.child("units"), UnitSystem()
    names = [field.name for field in dataclasses.fields(UnitSystem)]
    sheet.known(names, "must be a dimension")
    found = {}
    for name in names:
        unit = sheet.text(name)
        if unit and _is_unit(unit, getattr(default, name)):
            found[name] = unit
        elif unit:
            sheet.fault(name, f"must be a unit of {name}, in one word")
    return UnitSystem(**found)


def _is_unit(unit: str, like: str) -> bool:
    """Whether a unit is one word that converts to another, by some substance where need be."""
    try:
        factor(unit, like, Substance(1.0, 1.0))
    except UnitError:
        return False
    return re.fullmatch(r"[^\W\d_]+(\^[0-9])?", unit) is not None
