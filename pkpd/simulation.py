"""From a schedule to exposures, cells, tumour and outcomes."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.checks import Findings, did_you_mean, fail
from pkpd.dosing import Administration, Regimen
from pkpd.dosing.events import Events
from pkpd.endpoints import model_endpoints, probabilities
from pkpd.individuals import individualise
from pkpd.labels import dataset
from pkpd.model import Drug, Model
from pkpd.population import Patients, typical_patient
from pkpd.quadrature import STAGES, nodes_of
from pkpd.response import Course
from pkpd.response.joint import Endpoint
from pkpd.response.quadrature import filled
from pkpd.solve import AbstractSolver, ClosedForm, Multirate
from pkpd.solve.closed_form import nonlinear
from pkpd.solve.occasions import changing
from pkpd.solve.solver import Along, clock, first_dose, jumps_of
from pkpd.units import UnitError, factor, to_system

FEWEST = 64  # patients for a device of their own
SAFETY = 2.0  # times the difference to a finer run, whose own error is taken to be at most half the other's
_PER = {"kg": "wt", "m2": "bsa"}


def bind(
    model: Model,
    regimen: Regimen | str,
    covariates: Mapping[str, float | Float[Array | np.ndarray, " patients"]] | None = None,
) -> Events:
    """The doses of a regimen in the model's units.

    Drug, route and unit are resolved here; every dose that does not fit is named with its place in
    the text, in one `InputError`. Doses per kg or m² need the covariate `wt` or `bsa` (default: the
    model's reference values); where patients have their own, they get amounts of their own.
    """
    if isinstance(regimen, str):
        regimen = Regimen.parse(regimen)
    known = model.references | dict(covariates or {})
    findings = Findings()
    doses = regimen.administrations()
    amounts: dict[int, Any] = {}
    for dose in doses:
        if dose.part not in amounts:
            amounts[dose.part] = _amount(model, regimen, dose, known, findings)
    findings.raise_if_any()
    hour = model.units.day / 24.0
    times = [dose.time * hour for dose in doses]
    return Events(
        time=jnp.asarray(times, float),
        amount=_rows([amounts[dose.part] for dose in doses]),
        duration=jnp.asarray([dose.duration * hour for dose in doses], float),
        route=tuple((dose.drug, dose.route) for dose in doses),
        lasting=tuple(dose.duration * hour for dose in doses),
        nominal=tuple(times),
        end=regimen.length * hour,
    )


def scaling(model: Model, regimen: Regimen) -> list[str]:
    """The covariates by which virtual patients get amounts of their own."""
    spread = {covariate.name for covariate in model.covariates if covariate.spreads}
    return sorted(spread & {_PER[dose.per] for dose in regimen.administrations() if dose.per})


def _rows(amounts: Sequence[Any]) -> Array:
    """Amounts of doses [doses], or [doses, patients] where some differ between patients."""
    shape = np.broadcast_shapes(*(np.shape(v) for v in amounts))
    if not shape:
        return jnp.asarray(amounts, float)
    return jnp.stack([jnp.broadcast_to(jnp.asarray(v, float), shape) for v in amounts])


def _amount(
    model: Model, regimen: Regimen, dose: Administration, covariates: Mapping[str, Any], findings: Findings
) -> Any:
    def fault(field: str, rule: str, value: object, hint: str) -> float:
        findings.add("regimen", rule, value, f"{hint}\n{regimen.point(dose.part, field)}")
        return 0.0

    drugs = {drug.name: drug for drug in model.drugs}
    drug: Drug | None = drugs.get(dose.drug)
    if drug is None:
        return fault(
            "drug",
            f"must name a drug of {model.name or 'the model'}",
            dose.drug,
            did_you_mean(dose.drug, drugs),
        )
    if dose.route not in drug.routes:
        return fault(
            "route", f"must be a route of {drug.name}", dose.route, did_you_mean(dose.route, drug.routes)
        )
    share = 1.0
    if dose.per is not None:
        if _PER[dose.per] not in covariates:
            return fault(
                "unit", f"must not be per {dose.per}: the model has no {_PER[dose.per]}", dose.unit, ""
            )
        share = covariates[_PER[dose.per]]
    try:
        return share * to_system(dose.amount, dose.unit, "amount", model.units, drug.substance)
    except UnitError as error:
        return fault("unit", str(error), dose.unit, "")


class Simulation(eqx.Module):
    """Outputs along `times` [times, patients] and outcome probabilities [patients], in model units.

    `error`, where it was asked for, holds for each output the solver's error [patients], estimated, relative
    to the output or to a thousandth of its largest size; for each outcome that of its probability.
    """

    times: Float[Array, " times"]
    outputs: dict[str, Float[Array, "times patients"]]
    outcomes: dict[str, Float[Array, " patients"]]
    units: tuple[tuple[str, str], ...] = eqx.field(static=True)
    time_unit: str = eqx.field(static=True)
    error: dict[str, Float[Array, " patients"]] = eqx.field(default_factory=dict)

    def to_xarray(self) -> Any:
        """A labelled xarray Dataset with units."""
        return dataset(self.times, self.outputs, self.outcomes, dict(self.units), self.time_unit)


def simulate(
    model: Model,
    regimen: Regimen | Events | str,
    times: Sequence[float] | np.ndarray | None = None,
    patients: Patients | None = None,
    *,
    outputs: Sequence[str] | None = None,
    alive: Sequence[float] = (),
    origin: float = 0.0,
    solver: AbstractSolver | None = None,
    outcomes: bool = True,
    error: bool = False,
) -> Simulation:
    """Simulates patients (default: the typical one) under a regimen.

    `times` (default: four a day over the regimen and a week) and `origin`, from which outcomes are
    timed, are in the model's unit of time; `alive` adds survival at these times since the origin.
    Without `outcomes` the course ends with the last of the `times`.
    The solver is by default `ClosedForm` where all states have one, else `Multirate`, on all devices that
    `pkpd.configure` made once there are many patients. With `error` a second run at a higher accuracy
    estimates its error.
    Pure JAX in the model's parameters and, with `Events` in place of the text, in the schedule.
    """
    patients = patients or typical_patient()
    events = regimen if isinstance(regimen, Events) else bind(model, regimen, patients.covariates)
    solver = solver or chosen_solver(model, patients)
    solver.check(patients)
    wanted = default_times(model, events) if times is None else np.asarray(times, float)
    chosen = tuple(model.outputs if outputs is None else outputs)
    for name in chosen:
        if name not in model.outputs:
            raise fail("outputs", "must be outputs of the model", name, did_you_mean(name, model.outputs))

    def run(solver: AbstractSolver) -> tuple[dict[str, Array], dict[str, Array]]:
        looks = tuple(alive) if outcomes else None
        plain = solver.by_plan and events.fixed
        return _run(model, events, patients, tuple(wanted.tolist()), chosen, looks, origin, solver, plain)

    found = run(solver)
    finer = solver.finer() if error else None
    gaps = apart(found, found if finer is None else run(finer)) if error else {}
    estimate = {name: SAFETY * gap for name, gap in gaps.items()}
    return Simulation(jnp.asarray(wanted), *found, units_of(model), model.units.time, estimate)


def chosen_solver(model: Model, patients: Patients) -> AbstractSolver:
    """The solver that applies to a model and is the fastest."""
    cores = max(1, min(jax.local_device_count(), patients.count // FEWEST))
    return Multirate(cores=cores) if nonlinear(model) else ClosedForm(cores=cores)


def apart(
    found: tuple[dict[str, Array], dict[str, Array]], fine: tuple[dict[str, Array], dict[str, Array]]
) -> dict[str, Array]:
    """Largest differences of outputs, relative, and of probabilities [patients]."""
    gaps = {}
    for name, path in found[0].items():
        size = jnp.abs(path)
        size = jnp.maximum(size, 1e-3 * size.max(axis=0, keepdims=True))
        gap = jnp.abs(path - fine[0][name])
        gaps[name] = jnp.max(jnp.where(gap > 0.0, gap / jnp.where(size > 0.0, size, 1.0), 0.0), axis=0)
    return gaps | {name: jnp.abs(chance - fine[1][name]) for name, chance in found[1].items()}


@eqx.filter_jit
def _run(
    model: Model,
    events: Events,
    patients: Patients,
    wanted: tuple[float, ...],
    chosen: tuple[str, ...],
    alive: tuple[float, ...] | None,
    origin: float,
    solver: AbstractSolver,
    plain: bool,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Outputs, and the probabilities of outcomes unless nobody asks when patients are alive; doses are as
    planned where that is `plain`."""
    events = events.planned() if plain else events
    own = individualise(model, patients)
    count = patients.count
    if len(patients.starts) > 1:
        return _by_occasion(own, events, patients, wanted, chosen, solver, outcomes=alive is not None), {}
    if not model.outcomes or alive is None:
        states = solver.states(own, events, wanted, count)
        signals = signals_along(own, events, np.asarray(wanted), states, count)
        return {name: jnp.broadcast_to(signals[name], (len(wanted), count)) for name in chosen}, {}
    both = np.union1d(wanted, course_grid(model, events, origin, alive))
    along = solver.along(own, events, both.tolist(), count)
    signals = signals_along(own, events, along.edges, along.at, count)
    rows = np.searchsorted(along.edges, np.asarray(wanted) - 1e-9 * model.units.day)
    found = {name: jnp.broadcast_to(signals[name], (len(along.edges), count))[rows] for name in chosen}
    course = course_along(own, events, along, origin, count)
    endpoints = [*model_endpoints(model), *(Endpoint("alive", t) for t in alive)]
    return found, probabilities(own, course, endpoints)


def _by_occasion(
    own: Model,
    events: Events,
    patients: Patients,
    wanted: tuple[float, ...],
    chosen: tuple[str, ...],
    solver: AbstractSolver,
    *,
    outcomes: bool,
) -> dict[str, Array]:
    """Outputs of patients who differ from occasion to occasion."""
    if own.outcomes and outcomes:
        rule = "must have one occasion where outcomes are asked for"
        raise fail("patients", rule, len(patients.starts), "Ask for none: outcomes=False.")
    states, clocks, model = changing(own, events, wanted, patients, solver)
    signals = model.signals(states, clocks)
    return {name: jnp.broadcast_to(signals[name], (len(wanted), patients.count)) for name in chosen}


def default_times(model: Model, events: Events) -> np.ndarray:
    """Four times a day over the regimen and a week after it."""
    day = model.units.day
    return np.arange(0.0, events.end + 7 * day, day / 4)


def course_grid(model: Model, events: Events, origin: float, alive: Sequence[float]) -> np.ndarray:
    """Times at which the outcomes look at patients.

    Daily until two weeks after dosing but eight weeks at most, twice a week until twelve weeks after dosing,
    weekly afterwards.
    """
    day = model.units.day
    needed = [origin + t for part in model.outcomes.values() for t in part.times]
    needed += [origin + t for t in alive]
    horizon, last = max([*needed, origin]), max(events.end, origin)
    edges = (origin, min(last + 14 * day, origin + 56 * day), last + 84 * day, horizon)
    starts = [min(edge, horizon) for edge in edges]
    spans = zip(starts[:-1], starts[1:], (1.0, 3.5, 7.0), strict=True)
    grid = np.concatenate([*(np.arange(a, b, step * day) for a, b, step in spans), needed, [origin]])
    grid = np.unique(np.round(grid, 9))
    return grid[(grid >= origin - 1e-12) & (grid <= horizon + 1e-9)]


def courses(
    model: Model, events: Events, patients: int, origin: float, alive: Sequence[float], solver: AbstractSolver
) -> Course:
    """What the outcomes see of individualised patients."""
    grid = course_grid(model, events, origin, alive)
    along = solver.along(model, events, grid.tolist(), patients)
    return course_along(model, events, along, origin, patients)


def inputs_along(
    model: Model,
    events: Events,
    patients: int,
    ports: Sequence[tuple[str, str]],
    times: Sequence[float],
    solver: AbstractSolver,
) -> list[Float[Array, "times patients"]]:
    """What arrives at input ports, `(owner, port)`, of individualised patients; each port must be wired."""
    wires = {(owner, port): sources for owner, port, sources in model.wires}
    states = solver.states(model, events, times, patients)
    needed = frozenset(s.rpartition(".")[0] for port in ports for s in wires[port])
    signals = signals_along(model, events, np.asarray(times), states, patients, _upstream(model, needed))
    shape = (len(times), patients)
    return [jnp.stack([jnp.broadcast_to(signals[s], shape) for s in wires[port]]).sum(0) for port in ports]


def _needed(model: Model) -> frozenset[str]:
    """Components whose outputs the outcomes need, directly or through others."""
    sources = [s for owner, _, srcs in model.wires if owner in model.outcomes for s in srcs]
    return _upstream(model, frozenset(s.rpartition(".")[0] for s in sources))


def _upstream(model: Model, components: frozenset[str]) -> frozenset[str]:
    """The components, and those whose outputs theirs need at once."""
    wires = {(owner, port): sources for owner, port, sources in model.wires}
    todo, found = list(components), set[str]()
    while todo:
        name = todo.pop()
        if name in model.components and name not in found:
            found.add(name)
            ports = model.components[name].direct
            todo += [s.rpartition(".")[0] for port in ports for s in wires.get((name, port), ())]
    return frozenset(found)


def signals_along(
    model: Model,
    events: Events,
    times: np.ndarray,
    states: Mapping[str, Array],
    patients: int,
    only: frozenset[str] | None = None,
) -> dict[str, Any]:
    """Outputs [times, patients] that belong to states, of all components or of some `only`."""
    since = first_dose(model, jumps_of(model, events, patients))
    return model.signals(states, clock(jnp.asarray(times)[:, None], since), only)


def course_along(model: Model, events: Events, along: Along, origin: float, patients: int) -> Course:
    """What outcomes see from the origin on; an output that is not known inside cells is filled in."""
    first = int(np.searchsorted(along.edges, origin - 1e-9 * model.units.day))
    edges = along.edges[first:]
    at = {s: v[first:] for s, v in along.at.items()}
    inside = {s: v[first:].reshape(-1, patients) for s, v in along.inside.items()}
    needed = _needed(model)
    known = frozenset(name for name in needed if _known(model, name, inside))
    signals = signals_along(model, events, edges, at, patients, needed)
    nodes = signals_along(model, events, nodes_of(edges).ravel(), inside, patients, known) if known else {}

    def path(source: str) -> Array:
        at_edges = jnp.broadcast_to(signals[source], (len(edges), patients))
        if source not in nodes:
            return filled(edges, at_edges)
        later = jnp.broadcast_to(nodes[source], (STAGES * (len(edges) - 1), patients))
        return jnp.concatenate([at_edges[:1], later])

    paths = {
        f"{owner}.{port}": jnp.stack([path(s) for s in sources]).sum(0)
        for owner, port, sources in model.wires
        if owner in model.outcomes
    }
    for name, part in model.outcomes.items():
        for port, spec in part.inputs.items():
            shape = (STAGES * (len(edges) - 1) + 1, patients)
            paths.setdefault(f"{name}.{port}", jnp.full(shape, spec.default or 0.0))
    treated = jnp.asarray(events.end - origin, float)
    return Course(edges - origin, paths, treated, 28.0 * model.units.day)


def _known(model: Model, component: str, states: Mapping[str, Array]) -> bool:
    """Whether all states are known that the outputs of a component need at once."""
    names = _upstream(model, frozenset({component}))
    return all(f"{name}.{s}" in states for name in names for s in model.components[name].states)


def units_of(model: Model) -> tuple[tuple[str, str], ...]:
    """The unit of each output."""
    dims = [(f"{name}.{o}", d) for name, part in model.components.items() for o, d in part.outputs.items()]
    return tuple((path, model.units.unit(d) if d != "*" else "") for path, d in dims)


def in_unit(model: Model, path: str, unit: str, values: Any) -> Any:
    """Values of an output in another unit (amounts convert through the drug that the path names)."""
    substance = next((d.substance for d in model.drugs if path.startswith(f"{d.name}.")), None)
    have = dict(units_of(model))[path]
    return values * (factor(have, unit, substance) if substance else factor(have, unit))
