"""Components wired into one model: a pytree of parameters and a system of differential equations."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from pkpd.checks import Findings, did_you_mean
from pkpd.component import Component, Values
from pkpd.dosing.events import Entry
from pkpd.parameters import Declaration, Scalar, declarations
from pkpd.pk import AbstractAbsorption, AbstractDisposition
from pkpd.population import CovariateEffect
from pkpd.response import AbstractOutcome, AbstractRecord
from pkpd.units import Substance, UnitSystem

Wires = Mapping[str, Mapping[str, str | Sequence[str]]]


@dataclass(frozen=True)
class Drug:
    """What the door knows of a drug besides its kinetics: its routes and how its amounts convert."""

    name: str
    routes: tuple[str, ...]
    substance: Substance = Substance()


class Model(eqx.Module):
    """Drugs, pools, tumour and outcomes as one differentiable object.

    Parameters are addressed by path: `aldesleukin.cl`, `tumour.kkill`, `regression.sigma`, and
    `tumour.kkill.iiv` for the between-patient standard deviation of the logarithm, `drug.e_wt_cl` for the
    effect of the covariate `wt` on `drug.cl`.
    A leaf is a scalar, or has the patients as its last axis after `individualise`.
    """

    components: dict[str, Component]
    outcomes: dict[str, AbstractOutcome]
    variability: dict[str, Scalar]
    wires: tuple[tuple[str, str, tuple[str, ...]], ...] = eqx.field(static=True)
    order: tuple[str, ...] = eqx.field(static=True)
    drugs: tuple[Drug, ...] = eqx.field(static=True)
    units: UnitSystem = eqx.field(static=True)
    typical: tuple[tuple[tuple[str, str], tuple[tuple[float, float], ...]], ...] = eqx.field(
        static=True, default=()
    )
    covariates: tuple[tuple[str, float], ...] = eqx.field(static=True, default=())
    effects: dict[str, Scalar] = eqx.field(default_factory=dict)
    acting: tuple[CovariateEffect, ...] = eqx.field(static=True, default=())
    name: str = eqx.field(static=True, default="")
    digest: str = eqx.field(static=True, default="")

    @property
    def states(self) -> tuple[str, ...]:
        """Paths of all states, `component.state`."""
        return tuple(f"{name}.{s}" for name in self.components for s in self.components[name].states)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Paths of all outputs, `component.output`."""
        return tuple(f"{name}.{o}" for name in self.components for o in self.components[name].outputs)

    @property
    def declared(self) -> dict[str, Declaration]:
        """Every parameter's declaration by path (variabilities included)."""
        found = {}
        for owner, part in [*self.components.items(), *self.outcomes.items()]:
            found |= {f"{owner}.{symbol}": d for symbol, d in declarations(part).items()}
        for path in self.variability:
            found[f"{path}.iiv"] = Declaration("iiv", f"between-patient SD of log {path}", "1", "nonnegative")
        for effect in self.acting:
            symbol, meaning = effect.path.rpartition(".")[2], f"{effect.form} of {effect.covariate}"
            found[effect.path] = Declaration(symbol, f"{meaning} in {effect.parameter}", "1", "real")
        return found

    def get(self, path: str) -> Scalar:
        """The value of one parameter."""
        self._check([path])
        return self._leaf(path)

    def replace(self, values: Mapping[str, Any]) -> "Model":
        """The same model with other parameter values (paths as in `get`)."""
        self._check(values)
        model = self
        for path, value in values.items():
            model = eqx.tree_at(lambda m, path=path: m._leaf(path), model, value)
        return model

    @property
    def reads(self) -> frozenset[str]:
        """The covariates that act on parameters."""
        return frozenset(effect.covariate for effect in self.acting)

    def under(self, covariates: Mapping[str, Scalar]) -> "Model":
        """The same model with parameters as some covariates make them; others are at their reference."""
        changed = {}
        for effect in self.acting:
            if effect.covariate in covariates:
                value = changed.get(effect.parameter, self._leaf(effect.parameter))
                factor = effect.factor(self.effects[effect.path], covariates[effect.covariate])
                changed[effect.parameter] = value * factor
        return self.replace(changed)

    def with_components(self, components: dict[str, Component]) -> "Model":
        """The same model with the same components in another shape."""
        return eqx.tree_at(lambda m: m.components, self, components)

    def _leaf(self, path: str) -> Any:
        if path.endswith(".iiv"):
            return self.variability[path.removesuffix(".iiv")]
        if path in self.effects:
            return self.effects[path]
        owner, _, symbol = path.rpartition(".")
        return getattr(self._part(owner), symbol)

    def _part(self, owner: str) -> Any:
        return self.components[owner] if owner in self.components else self.outcomes[owner]

    def _check(self, paths: Any) -> None:
        declared = self.declared
        findings = Findings()
        for path in paths:
            if path not in declared:
                findings.add(path, "must be a parameter of the model", path, did_you_mean(path, declared))
        findings.raise_if_any()

    def initial(self) -> dict[str, Scalar]:
        """States before any dose, by path."""
        parts = self.components.items()
        return {f"{name}.{s}": value for name, part in parts for s, value in part.initial().items()}

    def signals(
        self, y: Values, clock: Values, only: frozenset[str] | None = None, known: Values | None = None
    ) -> dict[str, Scalar]:
        """All outputs by path at states `y`; with `only`, those of these components.

        `clock` holds `time` and `<drug>.since`, `known` outputs that are given.
        """
        found: dict[str, Scalar] = {**clock, **(known or {})}
        for name in self.order:
            if only is None or name in only:
                part = self.components[name]
                out = part.output(self._own(name, y), self._inputs(name, found, part.direct))
                found |= {f"{name}.{o}": v for o, v in out.items()}
        return found

    def derivative(
        self,
        y: Values,
        clock: Values,
        of: frozenset[str] | None = None,
        needs: frozenset[str] | None = None,
        known: Values | None = None,
    ) -> dict[str, Scalar]:
        """The right-hand side by state path; with `of`, that of these components, which need `needs`."""
        found = self.signals(y, clock, needs, known)
        result: dict[str, Scalar] = {}
        for name, part in self.components.items():
            if part.states and (of is None or name in of):
                change = part.derivative(self._own(name, y), self._inputs(name, found, tuple(part.inputs)))
                result |= {f"{name}.{s}": v for s, v in change.items()}
        return result

    def _own(self, name: str, y: Values) -> dict[str, Scalar]:
        return {s: y[f"{name}.{s}"] for s in self.components[name].states}

    def _inputs(self, name: str, found: Values, wanted: Sequence[str]) -> dict[str, Scalar]:
        sources = {port: srcs for owner, port, srcs in self.wires if owner == name}
        ports = self.components[name].inputs
        return {
            port: _total([found[s] for s in sources[port]])
            if port in sources
            else jnp.asarray(ports[port].default)
            for port in wanted
        }

    def route(self, drug: str, route: str) -> tuple[AbstractAbsorption, str]:
        """The absorption of a route and the state that its doses enter, the first if there are several."""
        return _absorption(self.components, drug, route), self.entries(drug, route)[0].state

    def entries(self, drug: str, route: str) -> tuple[Entry, ...]:
        """By which states the doses of a route enter."""
        disposition = self.components[drug]
        assert isinstance(disposition, AbstractDisposition)
        inlets = _absorption(self.components, drug, route).inlets()
        places = (disposition.central if i.state is None else f"{route}.{i.state}" for i in inlets)
        each = zip(places, inlets, dict(self.typical)[drug, route], strict=True)
        return tuple(Entry(f"{drug}.{at}", i.share, i.lag, i.lasts, typical) for at, i, typical in each)


def _absorption(components: Mapping[str, Component], drug: str, route: str) -> AbstractAbsorption:
    absorption = components[f"{drug}.{route}"]
    assert isinstance(absorption, AbstractAbsorption)
    return absorption


def _typical(
    components: Mapping[str, Component], drugs: Sequence[Drug]
) -> Iterator[tuple[tuple[str, str], tuple[tuple[float, float], ...]]]:
    """Lag and duration of each inlet of each route."""
    for drug in drugs:
        for route in drug.routes:
            inlets = _absorption(components, drug.name, route).inlets()
            yield (drug.name, route), tuple((float(i.lag), float(i.lasts or 0.0)) for i in inlets)


def _total(values: Sequence[Scalar]) -> Scalar:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def wire(
    components: Mapping[str, Component],
    wires: Wires,
    *,
    drugs: Sequence[Drug] = (),
    outcomes: Mapping[str, AbstractOutcome] | None = None,
    variability: Mapping[str, Scalar] | None = None,
    units: UnitSystem | None = None,
    covariates: Mapping[str, float] | None = None,
    effects: Mapping[CovariateEffect, Scalar] | None = None,
    name: str = "",
    digest: str = "",
) -> Model:
    """Builds a model, or raises `InputError` with every unknown, missing, cyclic or misfit wire.

    `wires[component][input]` is one output path or several that are added up. Routes are wired
    into their drug's disposition by themselves. `effects` are the coefficients of covariates.
    """
    findings = Findings()
    outcomes = dict(outcomes or {})
    parts: dict[str, Any] = {**components, **outcomes}
    full = _with_routes(components, wires, drugs)
    dimension = _source_dimensions(components, drugs)
    flat = []
    for owner, ports in full.items():
        if owner not in parts:
            findings.add(owner, "must be a component of the model", owner, did_you_mean(owner, parts))
            continue
        for port, sources in ports.items():
            sources = (sources,) if isinstance(sources, str) else tuple(sources)
            if _check_wire(findings, f"{owner}.inputs.{port}", parts[owner], port, sources, dimension):
                flat.append((owner, port, sources))
    _check_required(findings, parts, flat)
    _check_kinds(findings, outcomes)
    variability, effects = variability or {}, effects or {}
    _check_modifiers(findings, components, variability, effects)
    order = _order(findings, components, flat)
    findings.raise_if_any()
    return Model(
        components=dict(components),
        outcomes=outcomes,
        variability={path: jnp.asarray(value, float) for path, value in variability.items()},
        wires=tuple(flat),
        order=order,
        drugs=tuple(drugs),
        units=units or UnitSystem(),
        typical=tuple(_typical(components, drugs)),
        covariates=tuple(sorted((covariates or {}).items())),
        effects={effect.path: jnp.asarray(value, float) for effect, value in effects.items()},
        acting=tuple(effects),
        name=name,
        digest=digest,
    )


def _check_modifiers(
    findings: Findings,
    components: Mapping[str, Component],
    variability: Iterable[str],
    effects: Iterable[CovariateEffect],
) -> None:
    """What makes patients differ acts on parameters of components."""
    for path in variability:
        if path.rpartition(".")[0] not in components:
            findings.add(f"{path}.iiv", "must belong to a component", path)
    for effect in effects:
        owner, _, symbol = effect.parameter.rpartition(".")
        if owner not in components or symbol not in declarations(components[owner]):
            findings.add(effect.path, "must act on a parameter of a component", effect.parameter)


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
