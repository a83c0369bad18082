"""From a question to numbers: the problem that an estimator gets, and its digest."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from jax import Array

from pkpd.card import Card
from pkpd.catalogue import load_card, load_model
from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.devices import float64
from pkpd.dosing.events import Events
from pkpd.individuals import sample_patients
from pkpd.infer.arm import Arm
from pkpd.infer.levels import By
from pkpd.infer.problem import Problem, free
from pkpd.model import Model
from pkpd.population import typical_patient
from pkpd.records.evidence import Reader, bound, read_evidence
from pkpd.records.levels import read_levels
from pkpd.records.priors import read_priors
from pkpd.records.question import Question, read_question
from pkpd.solve import AbstractSolver, Multirate
from pkpd.units import UnitError, factor

PER_DAY = 10.0  # panels of the solver; log densities of the shipped questions are within 3e-3 of those of 40


@dataclass(frozen=True)
class Resolved:
    """A problem, arms to predict besides, and the digest of everything that decides the answer."""

    problem: Problem
    others: tuple[Arm, ...]
    digest: str


def resolve(question: Question) -> Resolved:
    """Resolves model, regimens and priors in float64; raises `InputError` with every fault."""
    with float64():
        return _resolve(question)


def load_question(name_or_path: str | Path) -> Question:
    """Reads a question and its evidence; raises `InputError` with every fault of both.

    Where there is one, the faults that show only against the model are told with it.
    """
    question, findings = read_question(name_or_path)
    if findings.faults and question.model:
        with float64():
            try:
                _parts(question)
            except InputError as error:
                findings.adopt(error)
    findings.raise_if_any()
    return question


def _parts(question: Question) -> tuple[Problem, tuple[Arm, ...]]:
    """The problem without its patients, and the arms to predict besides."""
    findings = Findings(question.label)
    try:
        card, model = load_card(question.model_path), load_model(question.model_path)
    except InputError as error:
        findings.adopt(error)
        raise InputError(findings.faults) from error
    model = _with_settings(_with_fixed(model, card, question, findings), question, findings)
    priors = read_priors(model, card, question, findings)
    origin = _origin(model, question.origin, findings)
    reader = Reader(
        model, question.regimens, question.likelihood == "joint", findings, Findings(question.evidence)
    )
    arms = read_evidence(reader, question.arms, question.overlap)
    findings.faults.extend(reader.evidence.faults)
    kept = tuple(arm for arm in arms if arm is not None)
    tables: dict[By, Any] = {"study": question.studies, "histology": question.histologies}
    levels = read_levels(model, priors, tables, kept, findings)
    others = [
        _other(model, name, question.regimens.get(text, text), arms, findings)
        for name, text in question.predict.items()
    ]
    if question.arms and not any(arm.numbers for arm in question.arms):
        findings.add(
            "evidence", "must hold a row with events, because there is nothing to fit", question.evidence
        )
    findings.raise_if_any()
    problem = Problem(
        model=model,
        arms=kept,
        patients=typical_patient(),
        priors=free(priors, levels),
        levels=levels,
        units=tuple((path, model.units.unit(q.dimension)) for path, q in card.parameters.items()),
        origin=origin,
        joint=question.likelihood == "joint",
    )
    return problem, tuple(a for a in others if a is not None)


def _resolve(question: Question) -> Resolved:
    problem, others = _parts(question)
    count, seed, groups = question.patients
    patients = sample_patients(problem.model, count, seed, groups)
    problem = dataclasses.replace(problem, patients=patients, solver=Multirate(PER_DAY, groups))
    return Resolved(problem, others, digest(question, problem, others))


def digest(question: Question, problem: Problem, others: Sequence[Arm] = ()) -> str:
    """SHA-256 of the resolved question: what decides the answer, and no comment or order of keys."""
    content = {
        "model": problem.model.digest,
        "arms": [
            {
                "study": a.study,
                "arm": a.name,
                "n": a.n,
                "weight": a.weight,
                "counts": a.counts,
                "endpoints": [[e.outcome, e.time, "+".join(e.kinds)] for e in a.endpoints],
                "doses": _doses(a.events),
            }
            | _besides(a)
            for a in problem.arms
        ],
        "predict": [[a.name, _doses(a.events)] for a in others],
        "gates": dict(question.gates),
        "priors": {path: [p.family, p.centre, p.spread] for path, p in problem.priors},
        "fixed": {path: row.get("value") for path, row in question.fixed.items()},
        "settings": dict(question.outcome_settings),
        "patients": question.patients,
        "effects": {path: _hash_of(eta) for path, eta in problem.patients.eta.items()},
        "likelihood": question.likelihood,
        "origin": problem.origin,
        "solver": _solver(problem.solver),
        "estimator": {key: v for key, v in question.estimator.items() if v or key != "emulate"},
    }
    people = problem.patients
    if people.covariates or people.kappa:
        known = people.covariates | people.kappa
        content["people"] = {name: _hash_of(v) for name, v in known.items()}
    if problem.levels:
        content["levels"] = [list(dataclasses.astuple(level)) for level in problem.levels]
    return hashlib.sha256(json.dumps(_rounded(content), sort_keys=True).encode()).hexdigest()


def _besides(arm: Arm) -> dict[str, Any]:
    """What an arm tells besides counts, if it does."""
    reports = [[type(r).__name__, *dataclasses.astuple(r)] for r in arm.reports]
    told = {"reports": reports, "histology": arm.histology}
    return {key: value for key, value in told.items() if value}


def _solver(solver: AbstractSolver) -> list[str]:
    """Its name and settings, but for those that change no result."""
    settings = {name: v for name, v in vars(solver).items() if name not in ("chunk", "cores")}
    return [type(solver).__name__, *(f"{name} = {v}" for name, v in settings.items())]


def _hash_of(effects: Array) -> str:
    """SHA-256 of the virtual patients' effects, rounded beyond what platforms differ in."""
    return hashlib.sha256(np.round(np.asarray(effects), 9).astype("<f8").tobytes()).hexdigest()


def _rounded(value: Any) -> Any:
    """Numbers at 12 significant digits, so that platforms which differ in the last one agree."""
    if isinstance(value, Mapping):
        return {str(k): _rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    return f"{value:.12g}" if isinstance(value, float) else value


def _doses(events: Events) -> list[list[Any]]:
    columns = zip(events.route, events.nominal, events.amount.tolist(), events.duration.tolist(), strict=True)
    return [[*route, time, amount, duration] for route, time, amount, duration in columns]


def _origin(model: Model, text: str, findings: Findings) -> float:
    number, _, unit = text.strip().partition(" ")
    try:
        origin = float(number) * factor(unit, model.units.time)
    except (ValueError, UnitError):
        origin = float("nan")
    if not 0.0 <= origin < float("inf"):
        findings.add("origin", 'must be a time that is not negative, such as "0 d"', text)
        return 0.0
    return origin


def _other(model: Model, name: str, text: str, arms: Sequence[Arm | None], findings: Findings) -> Arm | None:
    events = bound(model, f"predict.{name}.regimen", text, findings)
    endpoints = next((arm.endpoints for arm in arms if arm is not None and arm.endpoints), ())
    return None if events is None else Arm(events, "predicted", name, 1, endpoints, None)


def _with_fixed(model: Model, card: Card, question: Question, findings: Findings) -> Model:
    for path, row in question.fixed.items():
        quantity = card.parameters.get(path)
        value, declared = row.get("value"), model.declared.get(path)
        if quantity is None or declared is None:
            findings.add(
                f"set.{path}", "must be a parameter of the model", path, did_you_mean(path, card.parameters)
            )
        elif extra := [key for key in row if key not in ("value", "unit", "why")]:
            findings.add(
                f"set.{path}.{extra[0]}", "must be a known key", extra[0], "Known: unit, value, why."
            )
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not row.get("why"):
            findings.add(f"set.{path}", "must have a number as value and a why", value)
        elif row.get("unit") != quantity.unit:
            findings.add(
                f"set.{path}.unit", f"must be the model file's unit, {quantity.unit}", row.get("unit")
            )
        elif not declared.admits(float(value)):
            findings.add(f"set.{path}", declared.rule, value)
        elif path in question.priors:
            findings.add(f"set.{path}", "must not be free and fixed at once", path)
        else:
            model = model.replace({path: float(value) * quantity.factor})
    return model


def _with_settings(model: Model, question: Question, findings: Findings) -> Model:
    from pkpd.response.binary import LINKS
    from pkpd.response.summary import SUMMARIES

    allowed = {"link": LINKS, "summary": SUMMARIES}
    for path, value in question.outcome_settings.items():
        owner, _, name = path.rpartition(".")
        if owner not in model.outcomes or not hasattr(model.outcomes[owner], name) or name not in allowed:
            known = [f"{o}.{s}" for o, part in model.outcomes.items() for s in allowed if hasattr(part, s)]
            findings.add(
                f"settings.{path}", "must be a setting of an outcome", path, did_you_mean(path, known)
            )
        elif value not in allowed[name]:
            findings.add(
                f"settings.{path}", "must be one of its choices", value, did_you_mean(value, allowed[name])
            )
        else:
            changed = dataclasses.replace(model.outcomes[owner], **{name: value})
            model = eqx.tree_at(lambda m, o=owner: m.outcomes[o], model, changed)
    return model
