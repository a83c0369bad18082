"""The priors of a question: read, taken from the model file, refused where they are circular."""

from collections.abc import Mapping
from typing import Any

from pkpd.arms.sources import publications
from pkpd.card import ASSUMED, Card, Quantity
from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.infer.prior import Prior, beta1_below
from pkpd.model import Model
from pkpd.records.question import Question

FAMILIES = {
    "lognormal": ("median", "log_sd"),
    "normal": ("mean", "sd"),
    "logitnormal": ("median", "logit_sd"),
    "beta1": ("upper",),
}


def read_priors(model: Model, card: Card, question: Question, findings: Findings) -> dict[str, Prior]:
    """The priors without fault by path, in the model's units; faults go to `findings`."""
    declared, found = model.declared, {}
    for path, row in question.priors.items():
        place = f"priors.{path}"
        if path not in declared:
            findings.add(place, "must be a parameter of the model", path, did_you_mean(path, declared))
            continue
        quantity = card.parameters.get(path)
        extra = [key for key in row if row.get("from") == "model" and key not in ("from", "why")]
        for key in extra:
            findings.add(f"{place}.{key}", 'must not stand beside from = "model"', row[key])
        prior = (
            _from_model(place, quantity, findings)
            if row.get("from") == "model"
            else _own(place, row, quantity, findings)
        )
        _check_source(place, row, card, question, findings)
        _refuse_circular(place, row, quantity, card, question, findings)
        if prior is None:
            continue
        try:
            prior.check(place, declared[path])
        except InputError as error:
            findings.adopt(error)
        found[path] = prior
    return found


def _from_model(place: str, quantity: Quantity | None, findings: Findings) -> Prior | None:
    if quantity is None or quantity.log_sd is None:
        rule = "must have an uncertainty above 0 (ci95 or rse) in the model file to be taken from it"
        findings.add(place, rule)
        return None
    return Prior("lognormal", quantity.value_in_system, quantity.log_sd)


def _own(place: str, row: Mapping[str, Any], quantity: Quantity | None, findings: Findings) -> Prior | None:
    family = row.get("family")
    if family not in FAMILIES:
        findings.add(f"{place}.family", "must be a known family", family, did_you_mean(str(family), FAMILIES))
        return None
    wanted, start = FAMILIES[str(family)], len(findings.faults)
    for key in row:
        if key not in (*wanted, "family", "why", "source"):
            findings.add(f"{place}.{key}", "must be a known key", key, did_you_mean(key, wanted))
    for key in wanted:
        value = row.get(key)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or value != value
            or abs(value) == float("inf")
        ):
            findings.add(f"{place}.{key}", "must be a finite number", value)
    if not row.get("why"):
        findings.add(f"{place}.why", "must say why this prior")
    if len(findings.faults) > start:
        return None
    return _built(place, str(family), [float(row[key]) for key in wanted], quantity, findings)


def _built(
    place: str, family: str, values: list[float], quantity: Quantity | None, findings: Findings
) -> Prior | None:
    scale = quantity.factor if quantity else 1.0
    if family in ("lognormal", "logitnormal", "beta1") and not values[0] > 0:
        findings.add(place, "must have a centre greater than 0", values[0])
        return None
    if family in ("logitnormal", "beta1") and not values[0] < 1:
        findings.add(place, "must have a centre below 1", values[0])
        return None
    if family == "beta1":
        return beta1_below(values[0])
    centre = values[0] if family == "logitnormal" else values[0] * scale
    spread = values[1] * scale if family == "normal" else values[1]
    return Prior(family, centre, spread)  # pyright: ignore[reportArgumentType]  (one of FAMILIES)


def _check_source(
    place: str, row: Mapping[str, Any], card: Card, question: Question, findings: Findings
) -> None:
    """A source is a key of the model file, or is cited in full."""
    source = row.get("source", ASSUMED)
    known = {*card.sources, *(arm.study for arm in question.arms), ASSUMED}
    if not isinstance(source, str) or (source not in known and not publications(source)):
        rule = "must be a source of the model file, or a citation with year, volume and page, DOI or PMID"
        findings.add(f"{place}.source", rule, source, did_you_mean(str(source)[:60], card.sources))


def _refuse_circular(
    place: str,
    row: Mapping[str, Any],
    quantity: Quantity | None,
    card: Card,
    question: Question,
    findings: Findings,
) -> None:
    """A number derived from a trial may not be a prior in a fit of that trial."""
    own = f"{row.get('source', '')} {row.get('why', '')}"
    named = {str(row.get("source", "")), own}
    if quantity and row.get("from") == "model":
        named |= {quantity.source, f"{quantity.at} {quantity.why}"}
    named -= {"", " ", ASSUMED}
    for key in sorted(named):
        source = card.sources.get(key)
        identity = publications(f"{key} {source}") | {key.lower()}
        for arm in question.arms:
            if identity & (publications(arm.source) | {arm.study.lower(), arm.source.lower()}):
                told = source.citation if source else key.strip()
                rule = f"must not come from the fitted trial: it is the evidence of {arm.study}"
                findings.add(place, rule, f"{key}: {told}" if source else told)
                return
