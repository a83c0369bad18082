"""From components and wires by name to a model, with every wire that does not fit."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from pkpd.checks import Findings, did_you_mean
from pkpd.component import Component
from pkpd.model.model import Drug, Model, absorption_of
from pkpd.parameters import Scalar, declarations
from pkpd.population import Covariate, CovariateEffect, unsound
from pkpd.response import AbstractOutcome, AbstractRecord, AbstractResidual
from pkpd.units import UnitSystem

Wires = Mapping[str, Mapping[str, str | Sequence[str]]]


def wire(
    components: Mapping[str, Component],
    wires: Wires,
    *,
    drugs: Sequence[Drug] = (),
    outcomes: Mapping[str, AbstractOutcome] | None = None,
    residuals: Mapping[str, AbstractResidual] | None = None,
    variability: Mapping[str, Scalar] | None = None,
    occasional: Mapping[str, Scalar] | None = None,
    correlations: Mapping[str, Scalar] | None = None,
    forms: Mapping[str, str] | None = None,
    units: UnitSystem | None = None,
    covariates: Sequence[Covariate] = (),
    effects: Mapping[CovariateEffect, Scalar] | None = None,
    name: str = "",
    digest: str = "",
) -> Model:
    """Builds a model, or raises `InputError` with every unknown, missing, cyclic or misfit wire.

    `wires[component][input]` is one output path or several that are added up. Routes are wired
    into their drug's disposition by themselves. `effects` are the coefficients of covariates; `variability`
    and `occasional` are standard deviations between patients and between occasions by parameter, `forms` what
    they are of where it is not the logarithm, `correlations` those of effects between patients, by pair.
    """
    findings = Findings()
    outcomes, residuals = dict(outcomes or {}), dict(residuals or {})
    parts: dict[str, Any] = {**components, **outcomes, **residuals}
    full = _with_routes(components, wires, drugs)
    dimension = _source_dimensions(components, drugs)
    flat = []
    for owner, ports in full.items():
        if owner not in parts:
            findings.add(owner, "must be a component of the model", owner, did_you_mean(owner, parts))
            continue
        for port, sources in ports.items():
            sources = (sources,) if isinstance(sources, str) else tuple(sources)
            if owner in residuals and len(sources) > 1:
                findings.add(f"{owner}.inputs.{port}", "must be one output", " + ".join(sources))
            if _check_wire(findings, f"{owner}.inputs.{port}", parts[owner], port, sources, dimension):
                flat.append((owner, port, sources))
    _check_required(findings, parts, flat)
    _check_kinds(findings, outcomes)
    variability, occasional, effects = variability or {}, occasional or {}, effects or {}
    _check_modifiers(findings, components, {"iiv": variability, "iov": occasional}, effects)
    _check_correlations(findings, correlations or {}, variability, covariates)
    order = _order(findings, components, flat)
    findings.raise_if_any()
    return Model(
        components=dict(components),
        outcomes=outcomes,
        variability=_numbers(variability),
        wires=tuple(flat),
        order=order,
        drugs=tuple(drugs),
        units=units or UnitSystem(),
        typical=tuple(_typical(components, drugs)),
        covariates=tuple(sorted(covariates, key=lambda covariate: covariate.name)),
        effects=_numbers({effect.path: value for effect, value in effects.items()}),
        acting=tuple(effects),
        occasional=_numbers(occasional),
        correlations=_numbers(correlations or {}),
        forms=tuple(sorted((forms or {}).items())),
        residuals=residuals,
        name=name,
        digest=digest,
    )


def _numbers(values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    return {path: jnp.asarray(value, float) for path, value in values.items()}


def _check_modifiers(
    findings: Findings,
    components: Mapping[str, Component],
    spreads: Mapping[str, Iterable[str]],
    effects: Iterable[CovariateEffect],
) -> None:
    """What makes patients differ acts on parameters of components."""
    for symbol, path in ((symbol, path) for symbol, paths in spreads.items() for path in paths):
        if path.rpartition(".")[0] not in components:
            findings.add(f"{path}.{symbol}", "must belong to a component", path)
    for effect in effects:
        owner, _, symbol = effect.parameter.rpartition(".")
        if owner not in components or symbol not in declarations(components[owner]):
            findings.add(effect.path, "must act on a parameter of a component", effect.parameter)


def _check_correlations(
    findings: Findings,
    correlations: Mapping[str, Scalar],
    variability: Collection[str],
    covariates: Iterable[Covariate],
) -> None:
    """Correlations join two effects, or two covariates, and make positive definite matrices."""
    groups = [set(variability), {f"covariates.{c.name}" for c in covariates if c.spreads}]
    for pair in correlations:
        ends = pair.split("~")
        if len(set(ends)) != 2 or not any(set(ends) <= group for group in groups):
            rule = "must join two parameters that have iiv, or two covariates that have a spread"
            findings.add(f'correlations."{pair}"', rule, " and ".join(ends))
    for block, least in unsound({pair: float(value) for pair, value in correlations.items()}):
        rule = "must be a matrix that is positive definite"
        hint = f"Its smallest eigenvalue is {least:.3g}: correlations of a paper need all their digits."
        findings.add(f"correlations of {', '.join(block)}", rule, hint=hint)


def _with_routes(components: Mapping[str, Component], wires: Wires, drugs: Sequence[Drug]) -> dict[str, dict]:
    full: dict[str, dict] = {owner: dict(ports) for owner, ports in wires.items()}
    for drug in drugs:
        sources = [
            f"{drug.name}.{r}.rate" for r in drug.routes if "rate" in components[f"{drug.name}.{r}"].outputs
        ]
        if sources:
            full.setdefault(drug.name, {}).setdefault("rate", sources)
    return full


def _source_dimensions(components: Mapping[str, Component], drugs: Sequence[Drug]) -> dict[str, str]:
    found = {f"{name}.{out}": dim for name, part in components.items() for out, dim in part.outputs.items()}
    return found | {"time": "time"} | {f"{drug.name}.since": "time" for drug in drugs}


def _check_wire(
    findings: Findings,
    place: str,
    part: Any,
    port: str,
    sources: tuple[str, ...],
    dimension: Mapping[str, str],
) -> bool:
    if port not in part.inputs:
        findings.add(
            place, f"must be an input of {type(part).__name__}", port, did_you_mean(port, part.inputs)
        )
        return False
    unknown = [s for s in sources if s not in dimension]
    for source in unknown:
        findings.add(
            place, "must be wired to an output of the model", source, did_you_mean(source, dimension)
        )
    wanted = part.inputs[port].dimension
    for source in sources:
        given = dimension.get(source, "*")
        if "*" not in (given, wanted) and given != wanted:
            findings.add(place, f"must be wired to a {wanted}", f"{source} ({given})")
    return not unknown


def _check_required(findings: Findings, parts: Mapping[str, Any], flat: Sequence[tuple]) -> None:
    wired = {(owner, port) for owner, port, _ in flat}
    known = {fault.place for fault in findings.faults}
    for owner, part in parts.items():
        needs = part.needs if isinstance(part, AbstractOutcome) else ()
        for port, spec in part.inputs.items():
            missing = (spec.default is None or port in needs) and (owner, port) not in wired
            if missing and f"{owner}.inputs.{port}" not in known:
                findings.add(f"{owner}.inputs.{port}", f"must be wired to a {spec.dimension}")


def _check_kinds(findings: Findings, outcomes: Mapping[str, AbstractOutcome]) -> None:
    """What is told of patients needs one name each: outcomes, and the kinds of those that have some."""
    owners = {name: name for name in outcomes}
    for name, part in outcomes.items():
        for kind in part.kinds if isinstance(part, AbstractRecord) else ():
            if owners.setdefault(kind, name) != name:
                rule = f'must not share the name of what it records with "{owners[kind]}"'
                findings.add(name, rule, kind)


def _order(findings: Findings, components: Mapping[str, Component], flat: Sequence[tuple]) -> tuple[str, ...]:
    """Components such that every direct input is known before it is used."""
    needs: dict[str, set[str]] = {name: set() for name in components}
    for owner, port, sources in flat:
        if owner in components and port in components[owner].direct:
            needs[owner] |= {s.rpartition(".")[0] for s in sources} & set(components)
    order: list[str] = []
    while len(order) < len(needs):
        ready = [name for name in needs if name not in order and needs[name] <= set(order)]
        if not ready:
            stuck = sorted(set(needs) - set(order))
            findings.add("inputs", "must not form a cycle without a state in it", " -> ".join(stuck))
            break
        order += ready
    return tuple(order)


def _typical(
    components: Mapping[str, Component], drugs: Sequence[Drug]
) -> Iterator[tuple[tuple[str, str], tuple[tuple[float, float], ...]]]:
    """Lag and duration of each inlet of each route."""
    for drug in drugs:
        for route in drug.routes:
            inlets = absorption_of(components, drug.name, route).inlets()
            yield (drug.name, route), tuple((float(i.lag), float(i.lasts or 0.0)) for i in inlets)
