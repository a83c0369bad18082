"""Components wired into one model: a pytree of parameters and a system of differential equations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from pkpd.checks import Findings, did_you_mean
from pkpd.component import Component, Values
from pkpd.dosing.events import Entry
from pkpd.dosing.occasions import OCCASION
from pkpd.parameters import Declaration, Scalar, declarations
from pkpd.pk import AbstractAbsorption, AbstractDisposition
from pkpd.population import SPREADS, Covariate, CovariateEffect, varied
from pkpd.response import AbstractOutcome, AbstractResidual
from pkpd.units import Substance, UnitSystem

_KEPT = {"iiv": "variability", "iov": "occasional", "corr": "correlations"}


@dataclass(frozen=True)
class Drug:
    """What the door knows of a drug besides its kinetics: its routes and how its amounts convert."""

    name: str
    routes: tuple[str, ...]
    substance: Substance = Substance()


class Model(eqx.Module):
    """Drugs, pools, tumour and outcomes as one differentiable object.

    Parameters are addressed by path: `aldesleukin.cl`, `tumour.kkill`, `regression.sigma`, and
    `tumour.kkill.iiv` and `tumour.kkill.iov` for standard deviations between patients and between occasions,
    of the logarithm unless `forms` says otherwise, `drug.cl~drug.vc.corr` for the correlation of two effects,
    `drug.e_wt_cl` for the effect of the covariate `wt` on `drug.cl`.
    A leaf is a scalar, or has the patients as its last axis after `individualise`, which also tells by which
    effects it has `moved` parameters that are not simply multiplied.
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
    covariates: tuple[Covariate, ...] = eqx.field(static=True, default=())
    effects: dict[str, Scalar] = eqx.field(default_factory=dict)
    acting: tuple[CovariateEffect, ...] = eqx.field(static=True, default=())
    occasional: dict[str, Scalar] = eqx.field(default_factory=dict)
    correlations: dict[str, Scalar] = eqx.field(default_factory=dict)
    forms: tuple[tuple[str, str], ...] = eqx.field(static=True, default=())
    residuals: dict[str, AbstractResidual] = eqx.field(default_factory=dict)
    moved: dict[str, Scalar] = eqx.field(default_factory=dict)
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
        for owner, part in [*self.components.items(), *self.outcomes.items(), *self.residuals.items()]:
            found |= {f"{owner}.{symbol}": d for symbol, d in declarations(part).items()}
        for path in self.variability:
            found[f"{path}.iiv"] = self._spread("iiv", "between-patient", path, found)
        for path in self.occasional:
            found[f"{path}.iov"] = self._spread("iov", "between-occasion", path, found)
        for pair in self.correlations:
            meaning = f"correlation of the effects on {' and '.join(pair.split('~'))}"
            found[f"{pair}.corr"] = Declaration("corr", meaning, "1", "real")
        for effect in self.acting:
            symbol, meaning = effect.path.rpartition(".")[2], f"{effect.form} of {effect.covariate}"
            found[effect.path] = Declaration(symbol, f"{meaning} in {effect.parameter}", "1", "real")
        return found

    def _spread(self, symbol: str, kind: str, path: str, known: Mapping[str, Declaration]) -> Declaration:
        form = dict(self.forms).get(path, "lognormal")
        dimension = known[path].dimension if form == "normal" else "1"
        return Declaration(symbol, f"{kind} SD of {SPREADS[form]}{path}", dimension, "nonnegative")

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
    def references(self) -> dict[str, float]:
        """The covariates at their reference."""
        return {covariate.name: covariate.reference for covariate in self.covariates}

    @property
    def reads(self) -> frozenset[str]:
        """The covariates that act on parameters, and the occasion `occ` where parameters differ by it."""
        occasion = {OCCASION} if self.occasional else set()
        return frozenset(effect.covariate for effect in self.acting) | occasion

    def under(self, covariates: Mapping[str, Scalar]) -> "Model":
        """The same model with parameters as some covariates make them; others are at their reference.

        `<path>.kappa` among them is the effect of an occasion on that parameter. Covariates act before all
        effects of patients and occasions.
        """
        changed = {}
        for effect in self.acting:
            if effect.covariate in covariates:
                value = changed.get(effect.parameter, self._before(effect.parameter, -1.0))
                factor = effect.factor(self.effects[effect.path], covariates[effect.covariate])
                changed[effect.parameter] = value * factor
        changed = {path: self._before(path, 1.0, value) for path, value in changed.items()}
        for path, spread in self.occasional.items():
            if (kappa := covariates.get(f"{path}.kappa")) is not None:
                changed[path] = self.varied(path, changed.get(path, self._leaf(path)), spread * kappa)
        return self.replace(changed)

    def _before(self, path: str, sign: float, value: Any = None) -> Any:
        """A parameter without the effect that has moved it, or a value with it."""
        value = self._leaf(path) if value is None else value
        return self.varied(path, value, sign * self.moved[path]) if path in self.moved else value

    def varied(self, path: str, value: Scalar, effect: Any) -> Scalar:
        """A parameter's value moved by a random effect."""
        return varied(value, dict(self.forms).get(path, "lognormal"), effect)

    def with_components(self, components: dict[str, Component]) -> "Model":
        """The same model with the same components in another shape."""
        return eqx.tree_at(lambda m: m.components, self, components)

    def _leaf(self, path: str) -> Any:
        for suffix, kept in _KEPT.items():
            if path.endswith(f".{suffix}"):
                return getattr(self, kept)[path.removesuffix(f".{suffix}")]
        if path in self.effects:
            return self.effects[path]
        owner, _, symbol = path.rpartition(".")
        return getattr(self._part(owner), symbol)

    def _part(self, owner: str) -> Any:
        return next(
            parts[owner] for parts in (self.components, self.outcomes, self.residuals) if owner in parts
        )

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
        return absorption_of(self.components, drug, route), self.entries(drug, route)[0].state

    def entries(self, drug: str, route: str) -> tuple[Entry, ...]:
        """By which states the doses of a route enter."""
        disposition = self.components[drug]
        assert isinstance(disposition, AbstractDisposition)
        inlets = absorption_of(self.components, drug, route).inlets()
        places = (disposition.central if i.state is None else f"{route}.{i.state}" for i in inlets)
        each = zip(places, inlets, dict(self.typical)[drug, route], strict=True)
        return tuple(Entry(f"{drug}.{at}", i.share, i.lag, i.lasts, typical) for at, i, typical in each)


def absorption_of(components: Mapping[str, Component], drug: str, route: str) -> AbstractAbsorption:
    """The absorption of a drug's route."""
    absorption = components[f"{drug}.{route}"]
    assert isinstance(absorption, AbstractAbsorption)
    return absorption


def _total(values: Sequence[Scalar]) -> Scalar:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
