"""Commands that read models and fits and compute nothing long."""

from pathlib import Path
from typing import Any

import typer

from pkpd.cli.output import JSON, number, print_json, reporting, table

TEMPLATES = {"model": "drug.toml", "fit": "fit.toml"}
EVIDENCE = """study,arm,endpoint,n,events,regimen,source,at,note
invented,treated,CR+PR,40,7,treated,your paper,Table 1,an example
invented,control,CR+PR,38,1,control,your paper,Table 1,an example
"""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (models, show, cite, check, doctor, new):
        app.command()(reporting(command))


def models(as_json: bool = JSON) -> None:
    """Lists the models of the catalogue and the stored fits. Example: pkpd models"""
    from pkpd.catalogue import model_titles
    from pkpd.records import question_titles

    titles, questions = model_titles(), question_titles()
    if as_json:
        return print_json({"models": titles, "fits": questions})
    table("Models (pkpd show NAME)", ["name", "title"], list(titles.items()))
    return table("Fits (pkpd fit NAME)", ["name", "title"], list(questions.items()))


def show(model: str, as_json: bool = JSON) -> None:
    """Structures, parameters, sources, facts reproduced and missed. Example: pkpd show melatonin"""
    from pkpd.catalogue import load_card, load_model
    from pkpd.devices import configure, float64
    from pkpd.explore.facts import evaluate

    configure(cache=True)
    with float64():
        card, built = load_card(model), load_model(model)
        facts = evaluate(built, card)
    if as_json:
        return print_json(
            {
                "name": card.name,
                "title": card.title,
                "summary": card.summary,
                "structures": {name: part.structure for name, part in card.parts.items()},
                "inputs": {name: dict(part.inputs) for name, part in card.parts.items() if part.inputs},
                "units": vars(card.units),
                "parameters": {path: _in_full(q) for path, q in card.parameters.items()},
                "covariates": {name: _in_full(q) for name, q in card.covariates.items()},
                "levels": card.levels,
                "effects": {f"{n}.{k}": v for n, p in card.parts.items() for k, v in p.effects.items()},
                "sources": {key: str(source) for key, source in card.sources.items()},
                "facts": [f.as_dict() for f in facts],
                "caps": _caps(card),
            }
        )
    typer.echo(f"{card.name}: {card.title}\n\n{card.summary}\n")
    parts = [
        (n, p.structure, ", ".join(f"{k} = {' + '.join(v)}" for k, v in p.inputs.items()))
        for n, p in card.parts.items()
    ]
    table("Structures", ["component", "structure", "inputs"], parts)
    effects = [(f"{n}.{key}", word) for n, p in card.parts.items() for key, word in p.effects.items()]
    if effects:
        table("Covariates", ["coefficient", "acts as"], effects)
    if card.covariates:
        rows = [_covariate(name, q, card.levels.get(name, ())) for name, q in card.covariates.items()]
        table("Patients", ["covariate", "reference", "unit", "virtual patients", "source"], rows)
    rows = [_parameter(path, q) for path, q in card.parameters.items()]
    columns = ["path", "value", "unit", "uncertainty", "between patients", "source"]
    table("Parameters", columns, [[row[c] for c in columns] for row in rows])
    _print_caps(card)
    return _print_facts(facts)


def _caps(card: Any) -> list[dict[str, Any]]:
    """The caps of a drug, or of a disease's drugs."""
    drugs = [inner for inner in (card, *card.drugs.values()) if inner.drug]
    return [{"drug": inner.drug.name, **vars(cap)} for inner in drugs for cap in inner.caps]


def _print_caps(card: Any) -> None:
    rows = [
        [f"{c['drug']}.{c['quantity']}", f"{c['value']:g}", c["unit"], c["source"], c["at"]]
        for c in _caps(card)
    ]
    if rows:
        columns = ["the most of", "value", "unit", "source", "at"]
        table("Caps (pkpd optimise keeps to them unless told --no-caps)", columns, rows)


def _in_full(q: Any) -> dict[str, Any]:
    told = {key: value for key, value in vars(q).items() if value not in (None, "")}
    left_out = {"factor"} if q.iiv or q.iov else {"factor", "form"}
    return {key: value for key, value in told.items() if key not in left_out}


def _parameter(path: str, q: Any) -> dict[str, Any]:
    uncertainty = f"{q.ci95[0]:g} to {q.ci95[1]:g}" if q.ci95 else f"rse {q.rse:.0%}" if q.rse else "-"
    return {
        "path": path,
        "value": number(q.value),
        "unit": q.unit,
        "uncertainty": uncertainty,
        "between patients": _spread(q, q.iiv) + (f"; occasions {_spread(q, q.iov)}" if q.iov else ""),
        "source": _source(q),
    }


def _source(q: Any) -> str:
    return q.source + (f", {q.at}" if q.at else f": {q.why}" if q.why else "")


def _spread(q: Any, size: float | None) -> str:
    """A standard deviation in words."""
    from pkpd.population import SPREADS

    if size is None:
        return "-"
    return f"SD {size:.3g}" if q.form == "normal" else f"SD of {SPREADS[q.form]}{size:.2f}"


def _covariate(name: str, q: Any, levels: Any) -> list[str]:
    """How virtual patients spread about the reference of a covariate."""
    if levels:
        reference = next(level for level, number, _ in levels if number == q.value)
        shares = ", ".join(f"{share:.1%} {level} ({number:g})" for level, number, share in levels)
        return [name, reference, "", shares, _source(q)]
    middle = q.value if q.median is None else q.median
    within = f", {q.within[0]:g} to {q.within[1]:g}" if q.within else ""
    spread = f"median {middle:g}, {_spread(q, q.iiv)}{within}" if q.iiv else "the reference"
    return [name, number(q.value), q.unit, spread, _source(q)]


def _print_facts(facts: list[Any]) -> None:
    def row(result: Any) -> list[object]:
        fact = result.fact
        band = f"{fact.low:.3g} to {fact.high:.3g}"
        label = f"{fact.quantity} {fact.regimen}"
        return [label, number(result.value), number(fact.value), band, fact.unit, fact.kind, fact.source]

    columns = ["published fact", "model", "published", "range", "unit", "kind", "source"]
    table("Reproduced", columns, [row(f) for f in facts if not f.fact.why])
    missed = [f for f in facts if f.fact.why]
    table("Missed", columns, [row(f) for f in missed])
    for result in missed:
        typer.echo(f"- {result.fact.quantity} ({result.fact.source}): {result.fact.why}")


def cite(name: str, as_json: bool = JSON) -> None:
    """Prints the sources of a model or a fit. Example: pkpd cite lissoni1995/joint"""
    from pkpd.card import ASSUMED, citations
    from pkpd.catalogue import load_card
    from pkpd.records import is_question, load_question

    question = load_question(name) if is_question(name) else None
    card = load_card(question.model_path if question else name)
    own = [str(row.get("source", "")) for row in question.priors.values()] if question else []
    evidence = question.sources if question else []
    cited = [source for source in own if source not in ("", ASSUMED, *card.sources)]
    found = list(dict.fromkeys([*evidence, *cited, *citations(card)]))
    if as_json:
        return print_json({"citations": found})
    return typer.echo("\n".join(found))


def check(files: list[str], as_json: bool = JSON) -> None:
    """Checks models, fits, arms, records: every fault at once. Example: pkpd check models/melatonin.toml"""
    from pkpd.checks import InputError
    from pkpd.records import check_file
    from pkpd.records.files import remarks_of_file

    faults = [fault for name in files for fault in check_file(name)]
    if faults:
        raise InputError(faults)
    remarks = {name: list(remarks_of_file(name)) for name in files}
    if as_json:
        return print_json({"checked": files, "errors": [], "remarks": remarks})
    told = [f"{name}: {remark}" for name, some in remarks.items() for remark in some]
    return typer.echo("\n".join([*told, f"{', '.join(files)}: no fault found"]))


def doctor(as_json: bool = JSON) -> None:
    """What this installation can use. Example: pkpd doctor"""
    from pkpd.devices import configure, describe

    configure(cache=True)
    found = describe()
    if as_json:
        return print_json(found)
    rows = [(key, _words(value)) for key, value in found.items()]
    return table("This installation", ["", "found"], rows)


def _words(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(
            f"{k}: {'yes' if v is True else 'no' if v is False else v}" for k, v in value.items()
        )
    if isinstance(value, list):
        return "\n".join(_words(v) for v in value)
    return str(value)


def new(kind: str, name: str, as_json: bool = JSON) -> None:
    """Writes a commented template NAME.toml that `check` accepts. Example: pkpd new model mydrug"""
    from importlib import resources

    from pkpd.files import written

    path = _new_path(kind, name)
    text = (resources.files("pkpd") / "cli" / "templates" / TEMPLATES[kind]).read_text("utf-8")
    texts, evidence = {path: text.replace("NAME", path.stem)}, path.with_name("arms.csv")
    if kind == "fit" and not evidence.exists():
        texts[evidence] = EVIDENCE
    for target, content in texts.items():
        with written(target) as part:
            part.write_text(content, "utf-8")
    if as_json:
        return print_json({"wrote": [str(target) for target in texts]})
    if evidence in texts:
        typer.echo(f"Wrote {evidence}, an invented example of evidence: replace it")
    elif kind == "fit":
        typer.echo(f"{evidence} was there: [regimens] must have a name for each regimen in it")
    return typer.echo(f"Wrote {path}; check it with: pkpd check {path}")


def _new_path(kind: str, name: str) -> Path:
    """Where a template goes; raises `InputError` where it cannot."""
    from pkpd.checks import did_you_mean, fail
    from pkpd.dosing.language import is_name

    if kind not in TEMPLATES:
        raise fail("kind", "must be model or fit", kind, did_you_mean(kind, TEMPLATES))
    path = Path(name if name.endswith(".toml") else f"{name}.toml")
    if path.exists():
        raise fail("name", "must not exist yet", str(path))
    if kind == "model" and not is_name(path.stem):
        raise fail("name", "must be a word of small letters, digits and underscores", path.stem)
    if not path.parent.is_dir():
        raise fail("name", "must lie in a folder that exists", str(path.parent))
    return path
