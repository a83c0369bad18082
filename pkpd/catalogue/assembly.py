"""From the tables of a model file, and of the drug files it uses, to a card and a wired model."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp

from pkpd.card import Card, Document, DrugCard, Part, Quantity, Source
from pkpd.catalogue.caps import read_caps
from pkpd.catalogue.covariates import COVARIATES, Covariates
from pkpd.catalogue.effects import Acting, effect_keys, read_effect, told
from pkpd.catalogue.facts import Outputs, read_facts
from pkpd.catalogue.header import ONE_WORD, Page, open_page, read_drug
from pkpd.catalogue.sheet import Sheet, Slot, flatten, in_system, read_quantity
from pkpd.catalogue.structures import (
    ABSORPTIONS,
    COMPONENTS,
    DISPOSITIONS,
    OUTCOMES,
    RESIDUALS,
    Registry,
    code_of,
    read_inputs,
    read_settings,
    read_structure,
    settings_of,
)
from pkpd.catalogue.variability import correlations, of_drug, read_correlations, spreads
from pkpd.checks import Fault, InputError, did_you_mean
from pkpd.component import Component
from pkpd.dosing.language import is_name
from pkpd.model import Drug, Model, wire
from pkpd.parameters import Declaration, declarations
from pkpd.population import CovariateEffect
from pkpd.response import AbstractOutcome, AbstractResidual
from pkpd.units import Substance, UnitSystem

_PROSE = ("title", "summary", "sources", "reproduces", "misses", "caps")
_WORDS = ("source", "at", "why", "note")

Find = Callable[[str], Document]


@dataclass(frozen=True)
class _Entry:
    """The table of one part, the classes that it may name, and the drug that it belongs to."""

    owner: str
    sheet: Sheet
    registry: Registry
    page: Page
    drug: str | None = None


@dataclass
class _Draft:
    """The model while it is put together; `whole` unless a part is missing from it."""

    system: UnitSystem
    entries: dict[str, _Entry] = field(default_factory=dict)
    inputs: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    drugs: dict[str, Drug] = field(default_factory=dict)
    overrides: dict[str, tuple[Slot, Mapping[str, Source]]] = field(default_factory=dict)
    built: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    parameters: dict[str, Quantity] = field(default_factory=dict)
    effects: dict[CovariateEffect, Quantity] = field(default_factory=dict)
    whole: bool = True

    def add(self, entry: _Entry) -> None:
        """Takes a part in, unless its name is taken."""
        if entry.owner in self.entries:
            rule = f'must have another name, because "{entry.owner}" is taken'
            entry.sheet.findings.add(entry.sheet.place, rule)
            self.whole = False
            return
        self.entries[entry.owner] = entry
        self.inputs[entry.owner] = read_inputs(entry.sheet)

    def substance(self, owner: str) -> Substance | None:
        """Of the nearest drug at or upstream of a part; None where none is, or several are as near."""
        level, seen = {owner}, set[str]()
        while level:
            found = {entry.drug for name in level if (entry := self.entries.get(name)) and entry.drug}
            if found:
                return self.drugs[found.pop()].substance if len(found) == 1 else None
            seen |= level
            wired = (s for name in level for sources in self.inputs.get(name, {}).values() for s in sources)
            level = {source.rpartition(".")[0] for source in wired} - seen
        return None

    def outputs(self) -> Outputs:
        """Dimension and substance of every output; none where parts are missing."""
        return {
            f"{owner}.{name}": (dimension, self.substance(owner) or Substance())
            for owner, part in self.built.items()
            if isinstance(part, Component) and self.whole
            for name, dimension in part.outputs.items()
        }


def assemble(document: Document, find: Find) -> tuple[Card, Model]:
    """The card and the model of a file; `find` opens the drug files that it uses, by name.

    Raises `InputError` with every fault of the file and of its drug files.
    """
    page = open_page(document)
    findings = page.root.findings
    if not page.valid:
        findings.raise_if_any()
    draft = _Draft(page.units)
    drug = read_drug(page) if page.is_drug else None
    if drug:
        _add_drug(draft, page, drug)
    used = [] if drug else _add_model(draft, page, find)
    for entry in draft.entries.values():
        _build(draft, entry)
    _check_residuals(draft)
    _refuse_overrides(draft)
    _refuse_idle(draft, [page, *(inner for inner, _ in used)])
    cards = {inner_drug.name: _card(draft, inner, inner_drug) for inner, inner_drug in used}
    card = _card(draft, page, drug, cards)
    model = _wire(draft, page, card)
    for inner, _ in used:
        findings.faults.extend(inner.root.findings.faults)
    findings.raise_if_any()
    assert model is not None
    return card, model


def _add_drug(draft: _Draft, page: Page, drug: DrugCard) -> None:
    """The parts of a drug file."""
    root = page.root
    root.need("pk", "routes")
    routes = dict(root.children("routes"))
    name = drug.name or page.document.name
    draft.whole &= bool(drug.name) and "pk" in root.table
    draft.drugs[name] = Drug(name, tuple(routes), drug.substance)
    if "pk" in root.table:
        draft.add(_Entry(name, root.child("pk"), DISPOSITIONS, page, name))
    for route, sheet in routes.items():
        if not is_name(route):
            sheet.findings.add(sheet.place, ONE_WORD)
        draft.add(_Entry(f"{name}.{route}", sheet, ABSORPTIONS, page, name))
    for table, registry in (("components", COMPONENTS), ("residuals", RESIDUALS)):
        for part, sheet in root.children(table):
            draft.add(_Entry(f"{name}.{part}", sheet, registry, page, name))


def _add_model(draft: _Draft, page: Page, find: Find) -> list[tuple[Page, DrugCard]]:
    """The drugs, components and outcomes of a disease file; returns the drug files."""
    found = []
    for name, sheet in page.root.children("drugs"):
        opened = _open_drug(name, sheet, find)
        if opened is None:
            draft.whole = False
            continue
        _add_drug(draft, *opened)
        found.append(opened)
        for path, slot in flatten(sheet.child("set")):
            draft.overrides[f"{name}.{path}"] = slot, page.sources
    for table, registry in (("components", COMPONENTS), ("outcomes", OUTCOMES), ("residuals", RESIDUALS)):
        for name, sheet in page.root.children(table):
            draft.add(_Entry(name, sheet, registry, page))
    return found


def _open_drug(name: str, sheet: Sheet, find: Find) -> tuple[Page, DrugCard] | None:
    """The drug file that the table `name` under `[drugs]` uses."""
    sheet.known(("use", "set"), "must be a key of a drug in use")
    sheet.need("use")
    use = sheet.text("use")
    if not use:
        return None
    try:
        page = open_page(find(use))
    except InputError as error:
        for fault in error.faults:
            here = dataclasses.replace(fault, place=sheet.at("use"), file=sheet.findings.file)
            sheet.findings.faults.append(fault if fault.file else here)
        return None
    drug = read_drug(page) if page.valid and page.is_drug else None
    if drug and drug.name in ("", name):
        return page, drug
    if drug:
        sheet.fault("use", f"must be a file of {name}", f"It is one of {drug.name}.")
    elif page.valid:
        sheet.fault("use", "must be the name of a drug file")
    sheet.findings.faults.extend(page.root.findings.faults)
    return None


def _build(draft: _Draft, entry: _Entry) -> None:
    """The component or outcome of a table; numbers at fault stand as some number."""
    structure = read_structure(entry.sheet, entry.registry)
    if structure is None:
        draft.whole = False
        return
    declared, settings = declarations(structure), settings_of(structure)
    acting = effect_keys(entry.sheet, declared, entry.page.covariates)
    others = [key for key in entry.sheet.table if key.startswith("e_")]
    known = ("structure", "inputs", *declared, *settings, *others)
    entry.sheet.known(known, f"must be a key of {structure.__name__}")
    values = {symbol: _read_value(draft, entry, declaration) for symbol, declaration in declared.items()}
    built = structure(**values, **read_settings(entry.sheet, structure, draft.system))
    draft.built[entry.owner] = built
    given = {name: getattr(built, name) for name in settings}
    effects = {key: _read_effect(draft, entry, key, names) for key, names in acting.items()}
    draft.parts[entry.owner] = Part(structure.__name__, draft.inputs[entry.owner], given, effects)


def _slot(draft: _Draft, entry: _Entry, symbol: str) -> tuple[Slot, Mapping[str, Source]]:
    """Where a number of a part stands, in its own file or in that of the model that uses it; the sources."""
    return draft.overrides.pop(f"{entry.owner}.{symbol}", ((entry.sheet, symbol), entry.page.sources))


def _read_effect(draft: _Draft, entry: _Entry, key: str, acting: Acting) -> str:
    """Takes an effect in, and tells it in words."""
    slot, sources = _slot(draft, entry, key)
    reference = entry.page.covariates.quantities[acting.covariate]
    found = read_effect(slot, entry.owner, acting, reference, sources)
    if found is None:
        return ""
    effect, draft.parameters[f"{entry.owner}.{key}"] = found
    draft.effects[effect] = found[1]
    return told(effect, reference)


def _read_value(draft: _Draft, entry: _Entry, declared: Declaration) -> Any:
    path = f"{entry.owner}.{declared.symbol}"
    (sheet, key), sources = _slot(draft, entry, declared.symbol)
    value = 1.0 if declared.default is None else declared.default
    if key in sheet.table:
        substance = draft.substance(entry.owner) or (None if draft.whole else Substance(1.0, 1.0))
        hint = "" if substance else "Wire the part to one drug, whose molar mass and potency then hold."
        convert = in_system(declared.dimension, draft.system, substance or Substance())
        quantity = read_quantity((sheet, key), declared, convert, sources, hint)
        if quantity is not None:
            draft.parameters[path] = quantity
            value = quantity.value_in_system
    elif declared.default is None:
        sheet.fault(key, f"must be given ({declared.meaning}, {declared.dimension})")
    return jnp.asarray(value, float) if math.isfinite(value) else value


def _check_residuals(draft: _Draft) -> None:
    """An additive error has the dimension of what it is added to."""
    outputs = draft.outputs()
    for owner in (owner for owner, part in draft.built.items() if isinstance(part, AbstractResidual)):
        source = next(iter(draft.inputs[owner].get("prediction", ())), "")
        given = draft.parameters.get(f"{owner}.add_sd")
        wanted = outputs[source][0] if source in outputs else "*"
        if given is not None and wanted not in ("*", given.dimension):
            rule = f"must be {wanted}, as {source} is"
            draft.entries[owner].sheet.child("add_sd").fault("unit", rule)


def _refuse_overrides(draft: _Draft) -> None:
    """What is set in a drug but is no parameter of it, unless parts are missing that may have it."""
    if not draft.whole:
        return
    paths = [f"{owner}.{symbol}" for owner, part in draft.built.items() for symbol in declarations(part)]
    paths += [effect.path for effect in draft.effects]
    for path, ((sheet, key), _) in draft.overrides.items():
        drug, _, name = path.partition(".")
        known = [other.partition(".")[2] for other in paths if other.startswith(f"{drug}.")]
        sheet.findings.add(
            sheet.at(key), "must be a parameter of the drug", name[:60], did_you_mean(name[:60], known)
        )


def _refuse_idle(draft: _Draft, pages: Sequence[Page]) -> None:
    """Covariates that no regimen can ask for and that act on nothing."""
    acting = {effect.covariate for effect in draft.effects}
    for page in pages if draft.whole else ():
        for name in page.covariates.quantities.keys() - COVARIATES.keys() - acting:
            rule = f"must act on a parameter by e_{name}_<parameter>"
            page.root.findings.add(f"covariates.{name}", rule, name, did_you_mean(name, COVARIATES))


def _card(draft: _Draft, page: Page, drug: DrugCard | None, cards: Mapping[str, Card] | None = None) -> Card:
    """What a file and its drug files say; `cards` are those of the drug files of a disease file."""
    cards = cards or {}
    owners = {owner for owner, entry in draft.entries.items() if cards or entry.page is page}
    names = [drug.name] if drug else list(cards)
    sources = _join_sources(page, cards)
    central = f"{names[0]}.central" if len(names) == 1 else None if draft.whole else ""
    facts = {
        key: read_facts(page.root, key, draft.outputs(), central, draft.system, page.sources)
        for key in ("reproduces", "misses")
    }
    return Card(
        name=page.document.name,
        title=str(page.root.table.get("title", "")),
        summary=str(page.root.table.get("summary", "")),
        units=draft.system,
        sources=sources,
        drug=drug,
        parts={owner: part for owner, part in draft.parts.items() if owner in owners},
        parameters={p: q for p, q in draft.parameters.items() if p.rpartition(".")[0] in owners}
        | {p: q for c in cards.values() for p, q in of_drug(c.parameters, draft.parameters).items()}
        | read_correlations(page.root, page.sources),
        covariates=_join_covariates(page, cards),
        levels={name: found for inner in cards.values() for name, found in inner.levels.items()}
        | page.covariates.levels,
        digest=_digest(page, cards, code_of(type(part) for part in draft.built.values())),
        drugs=cards,
        caps=read_caps(page.root, draft.system, drug.substance, page.sources) if drug else (),
        **facts,
    )


def _join_sources(page: Page, cards: Mapping[str, Card]) -> dict[str, Source]:
    """The sources of a file and of its drug files; a key means one publication."""
    found = dict(page.sources)
    for card in cards.values():
        for key, source in card.sources.items():
            if found.setdefault(key, source).citation != source.citation:
                rule = f"must be cited as in the file of {card.name}, or have another name"
                page.root.findings.add(f"sources.{key}", rule)
    return found


def _join_covariates(page: Page, cards: Mapping[str, Card]) -> dict[str, Quantity]:
    """The reference values of a file, else those of its drug files where they agree."""
    found = dict(page.covariates.quantities)
    for card in cards.values():
        for name, quantity in card.covariates.items():
            first = found.setdefault(name, quantity)
            if name not in page.covariates.quantities and first.value_in_system != quantity.value_in_system:
                page.root.findings.add(
                    f"covariates.{name}", "must be given, because the drugs state different values"
                )
    return found


def _digest(page: Page, cards: Mapping[str, Card], code: Mapping[str, str]) -> str:
    """SHA-256 of what decides an answer in a file, in the drug files it uses and in a user's classes.

    Comments, layout, prose, sources and published facts do not count.
    """
    if page.root.findings.faults:
        return ""
    kept = {k: _numbers_of(v) for k, v in page.document.content.items() if k not in _PROSE}
    content = {"model": kept, "drugs": {name: card.digest for name, card in cards.items()}}
    content |= {"code": code} if code else {}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _numbers_of(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    dropped = _WORDS if "value" in value else ()
    return {k: _numbers_of(v) for k, v in value.items() if k not in dropped}


def _wire(draft: _Draft, page: Page, card: Card) -> Model | None:
    """The model, or None where a part is missing or a wire is at fault."""
    if not draft.whole:
        return None
    built = draft.built.items()
    try:
        return wire(
            {owner: part for owner, part in built if isinstance(part, Component)},
            draft.inputs,
            drugs=tuple(draft.drugs.values()),
            outcomes={owner: part for owner, part in built if isinstance(part, AbstractOutcome)},
            residuals={owner: part for owner, part in built if isinstance(part, AbstractResidual)},
            variability=spreads(draft.parameters, "iiv"),
            occasional=spreads(draft.parameters, "iov"),
            correlations=correlations(card.parameters),
            forms={path: q.form for path, q in draft.parameters.items() if q.form != "lognormal"},
            units=draft.system,
            covariates=Covariates(dict(card.covariates), dict(card.levels)).covariates(),
            name=card.name,
            effects={effect: quantity.value_in_system for effect, quantity in draft.effects.items()},
            digest=card.digest,
        )
    except InputError as error:
        for fault in error.faults:
            _relocate(draft, page, fault)
        return None


def _relocate(draft: _Draft, page: Page, fault: Fault) -> None:
    """A fault of the wiring, told at the place of the part in its file."""
    owner = max((o for o in draft.entries if f"{fault.place}.".startswith(f"{o}.")), key=len, default="")
    entry = draft.entries.get(owner)
    root = entry.page.root if entry else page.root
    place = f"{entry.sheet.place}{fault.place[len(owner) :]}" if entry else fault.place
    root.findings.add(place, fault.rule, fault.value, fault.hint)
