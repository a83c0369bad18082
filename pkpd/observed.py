"""From event records to predictions at the observation records."""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from pkpd.checks import Findings, InputError, did_you_mean, fail
from pkpd.compartments import target
from pkpd.dosing.occasions import OCCASION, check_occasions, occasions
from pkpd.dosing.record import Further, Records
from pkpd.dosing.slots import DOSES, KINDS, Layout, individuals, kinds, layout, spans
from pkpd.individuals import individualise
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.simulation import units_of
from pkpd.solve import ODE, AbstractSolver, ClosedForm
from pkpd.solve.closed_form import nonlinear
from pkpd.solve.doses import Told, jumps_of_records, target_of
from pkpd.solve.solver import clock, first_dose
from pkpd.solve.timeline import Covariates, Timeline, merge

CARRIES = ("nocb", "locf", "linear")
MOST = 4_000_000  # breaks times spans in one array
FEW = 20_000  # breaks times spans that are not worth a program of their own
MOST_TOLD = 20  # faults of one kind


class Trial(eqx.Module):
    """Records bound to a model and laid out for a solver.

    `told` and `covariates` are the numbers of all records [all], `eta` the effects of individuals and `kappa`
    those of their occasions by parameter, of which `occasion` is that of each record; `place` is where each
    record stands among the `layouts`, one after the other.
    """

    told: Told
    covariates: dict[str, Float[Array, " all"]]
    eta: dict[str, Float[Array, " individuals"]]
    kappa: dict[str, Float[Array, "occasions individuals"]]
    occasion: Int[Array, " all"]
    layouts: tuple[Layout, ...]
    place: Int[Array, " all"]
    carry: str = eqx.field(static=True)
    solver: AbstractSolver

    def outputs(self, model: Model, names: Sequence[str]) -> dict[str, Float[Array, " all"]]:
        """Outputs or states at all records. Pure JAX in the model's parameters and in everything that records
        tell but which record is what: times, amounts, rates, durations, intervals, covariates."""
        found: dict[str, list[Array]] = {name: [] for name in names}
        for plan in self.layouts:
            eta = {path: v[jnp.asarray(plan.individual)] for path, v in self.eta.items()}
            row = jnp.asarray(plan.row)
            told, covariates = jax.tree.map(lambda v, row=row: v[row], (self.told, self.covariates))
            who = jnp.asarray(plan.individual)[None]
            kappa = {f"{path}.kappa": v[self.occasion[row], who] for path, v in self.kappa.items()}
            own = individualise(model, Patients(eta, row.shape[1]))
            values = _along(own, plan, told, (covariates, kappa), tuple(names), self.carry, self.solver)
            for name, v in values.items():
                found[name].append(v.ravel())
        return {name: jnp.concatenate(v)[self.place] for name, v in found.items()}


@dataclass(frozen=True)
class Observed:
    """Outputs at the observation records [observations], in the order of the records, in the model's units.

    `row` is the place of each among all records.
    """

    row: Int[np.ndarray, " observations"]
    id: Shaped[np.ndarray, " observations"]
    time: Float[np.ndarray, " observations"]
    outputs: dict[str, Float[np.ndarray, " observations"]]
    units: dict[str, str]


def simulate_records(
    model: Model,
    records: Records,
    patients: Patients | None = None,
    *,
    outputs: Sequence[str] | None = None,
    carry: str = "nocb",
    solver: AbstractSolver | None = None,
) -> Observed:
    """Predicts every output at every observation record (`EVID` 0); arguments as for `bind_records`.

    Raises `InputError` with every record that does not fit the model or has no prediction.
    """
    chosen = tuple(model.outputs if outputs is None else outputs)
    for name in chosen:
        if name not in model.outputs:
            raise fail("outputs", "must be outputs of the model", name, did_you_mean(name, model.outputs))
    trial = bind_records(model, records, patients, carry=carry, solver=solver)
    found = {name: np.asarray(v) for name, v in _outputs(trial, model, chosen).items()}
    row = np.flatnonzero(records.evid == 0)
    _check_found(records, row, found)
    units = dict(units_of(model))
    at_rows = {name: v[row] for name, v in found.items()}
    return Observed(row, records.id[row], records.time[row], at_rows, {name: units[name] for name in chosen})


def bind_records(
    model: Model,
    records: Records,
    patients: Patients | None = None,
    *,
    carry: str = "nocb",
    solver: AbstractSolver | None = None,
) -> Trial:
    """Records for a model: compartments, routes, rates, covariates and individuals resolved.

    Covariates are carried between records as `carried` says. Individuals are typical, or `patients`, one for
    each in their order. The solver is by default `ClosedForm` where all states have one, else `ODE`.
    Raises `InputError` with every record that does not fit the model.
    """
    findings = Findings(records.file)
    count = int(individuals(records)[-1]) + 1
    if carry not in CARRIES:
        findings.add("carry", f"must be one of: {', '.join(CARRIES)}", carry, did_you_mean(carry, CARRIES))
    if patients is not None and patients.count != count:
        findings.add("patients", f"must be {count}, as many as there are individuals", patients.count)
    kappa = patients.kappa if patients else {}
    where = _check(model, records, findings, len(patients.starts) if patients and kappa else 0)
    findings.raise_if_any()
    own = individualise(model, patients) if patients else model
    earlier = _earlier(own, records, where)
    layouts = tuple(layout(records, rows, where, earlier) for rows in _batches(records))
    return Trial(
        told=Told(*(jnp.asarray(records[name]) for name in ("time", "amt", "rate", "dur", "ii"))),
        covariates={name: jnp.asarray(records[name]) for name in sorted(model.reads - {OCCASION})},
        eta=patients.eta if patients else {},
        kappa=kappa,
        occasion=jnp.asarray(occasions(records) if kappa else np.zeros(len(records), int)),
        layouts=layouts,
        place=jnp.asarray(_places(layouts, len(records))),
        carry=carry,
        solver=solver or (ODE() if nonlinear(model) else ClosedForm()),
    )


def records_for(model: Model) -> Further:
    """What records must be for a model, to be told with the faults of their file:
    `load_records(path, model.reads, also=records_for(model))`."""

    def also(records: Records, findings: Findings) -> None:
        _check(model, records, findings)

    return also


@eqx.filter_jit
def _outputs(trial: Trial, model: Model, names: tuple[str, ...]) -> dict[str, Array]:
    return trial.outputs(model, names)


def _along(
    own: Model,
    plan: Layout,
    told: Told,
    known: tuple[dict[str, Array], dict[str, Array]],
    names: tuple[str, ...],
    carry: str,
    solver: AbstractSolver,
) -> dict[str, Float[Array, "records spans"]]:
    """Outputs or states at all records of some spans, of an individualised model; what is `known` are the
    covariates and the effects of occasions at each record."""
    covariates, kappa = known
    both = covariates | kappa
    jumps = jumps_of_records(own, plan, told, both, solver.settle)
    times = told.time - told.time[:1]
    order = jnp.broadcast_to(jnp.arange(len(times), dtype=float)[:, None], times.shape)
    timeline = merge(jumps, times, order)
    begin, end = carried(covariates, times, timeline, carry)
    steps = carried(kappa, times, timeline, "locf" if carry == "locf" else "nocb").begin
    changes = Covariates(begin | steps, None if end is None else end | steps)
    timeline = timeline._replace(covariates=changes)
    since = {drug: told.time[0] + v for drug, v in first_dose(own, jumps).items()}
    states = solver.path(own, timeline, since, told.time[0])
    wide = jax.tree.map(lambda v: jnp.asarray(v)[None] if jnp.ndim(v) else v, own)
    found = states | wide.under(both).signals(states, clock(told.time, since))
    return {name: jnp.broadcast_to(found[name], times.shape) for name in names}


def carried(covariates: dict[str, Array], times: Array, timeline: Timeline, carry: str) -> Covariates:
    """Covariates between the breaks from those at the records [records, spans].

    `nocb`: up to a record what it says; `locf`: from a record on what it says; `linear`: on the line between.
    """
    if not covariates:
        return Covariates({})
    marks = jnp.zeros(timeline.breaks.shape).at[timeline.place, jnp.arange(times.shape[1])].add(1.0)
    passed = jnp.cumsum(marks, axis=0)[:-1].astype(int)
    before, after = (jnp.clip(v, 0, len(times) - 1) for v in (passed - 1, passed))

    def pick(values: Array, place: Array) -> Array:
        return jnp.take_along_axis(values, place, axis=0)

    if carry != "linear":
        place = after if carry == "nocb" else before
        return Covariates({c: pick(v, place) for c, v in covariates.items()})
    begin, end = pick(times, before), pick(times, after)
    length = jnp.where(end > begin, end - begin, 1.0)
    shares = (jnp.clip((v - begin) / length, 0.0, 1.0) for v in (timeline.breaks[:-1], timeline.breaks[1:]))
    change = {c: pick(v, after) - pick(v, before) for c, v in covariates.items()}
    ends = ({c: pick(v, before) + share * change[c] for c, v in covariates.items()} for share in shares)
    return Covariates(*ends)


def _check(model: Model, records: Records, findings: Findings, turns: int = 0) -> Shaped[np.ndarray, " all"]:
    """Where each record's dose goes; what does not fit the model, or its patients of so many occasions, is
    told."""
    where = _targets(model, records, findings)
    _check_modelled(model, records, where, findings)
    _check_steady(model, records, where, findings)
    _check_covariates(model, records, findings)
    if turns:
        check_occasions(records, turns, findings)
    return where


def _targets(model: Model, records: Records, findings: Findings) -> Shaped[np.ndarray, " all"]:
    """Where each record's dose goes: a route or a state, `""` for none."""
    dose = np.isin(records.evid, DOSES)
    names, back = np.unique(records.cmt[dose], return_inverse=True)
    found = []
    for k, name in enumerate(names):
        try:
            found.append(target(model, str(name)))
        except InputError as error:
            found.append("")
            for fault in error.faults:
                rows = np.flatnonzero(dose)[back == k]
                _tell(records, rows, "cmt", fault.rule, findings, fault.value, fault.hint)
    where = np.full(len(records), "", object)
    where[dose] = np.array(found, object)[back]
    return where.astype(str)


def _tell(
    records: Records,
    rows: Int[np.ndarray, " rows"],
    column: str,
    rule: str,
    findings: Findings,
    value: object = None,
    hint: str = "",
) -> None:
    """One fault for each of the first rows, and one for all others."""
    for row in rows[:MOST_TOLD].tolist():
        findings.add(records.place(row, column), rule, value, hint)
    if len(rows) > MOST_TOLD:
        findings.add(records.places.name(column), f"{rule}; {len(rows) - MOST_TOLD:,} more break this rule")


def _check_modelled(
    model: Model, records: Records, where: Shaped[np.ndarray, " all"], findings: Findings
) -> None:
    """A rate or a duration that a record leaves to the model must be there."""
    for code, symbol, missing in ((-1.0, "rate", np.inf), (-2.0, "duration", 0.0)):
        asked = (records.rate == code) & (where != "")
        for name in np.unique(where[asked]).tolist():
            if bool(np.all(np.asarray(getattr(target_of(model, name), symbol)) == missing)):
                rule = f"must not be {code:g}, because {name} states no {symbol}"
                rows = np.flatnonzero(asked & (where == name))
                _tell(records, rows, "rate", rule, findings, hint=f"Give the route a {symbol}.")


def _check_steady(
    model: Model, records: Records, where: Shaped[np.ndarray, " all"], findings: Findings
) -> None:
    """What a dose that enters by several ways leads to is the sum of what each does, in linear models."""
    asked = (records.ss > 0) & (where != "")
    for name in np.unique(where[asked]).tolist():
        if len(target_of(model, name).entries) > 1 and nonlinear(model):
            rule = (
                f"must be 0: doses of {name} enter by several ways, and {nonlinear(model)[0]} is not linear"
            )
            rows = np.flatnonzero(asked & (where == name))
            _tell(records, rows, "ss", rule, findings, hint="Give the doses one by one, by ADDL.")


def _check_covariates(model: Model, records: Records, findings: Findings) -> None:
    """Every covariate that the model reads, above 0 where it acts by a power."""
    for name in sorted(model.reads - {OCCASION} - records.covariates.keys()):
        rule = f"must have the column {records.places.name(name)}, a covariate of the model"
        findings.add(records.places.column(""), rule)
    for effect in model.acting:
        values = records.covariates.get(effect.covariate)
        if effect.form == "power" and values is not None:
            rule = f"must be above 0, because it acts by a power on {effect.parameter}"
            _tell(records, np.flatnonzero(values <= 0.0), effect.covariate, rule, findings)
    for covariate in (c for c in model.covariates if c.levels and c.name in records.covariates):
        rule = f"must be one of: {covariate.told}"
        strange = ~np.isin(records.covariates[covariate.name], covariate.numbers)
        _tell(records, np.flatnonzero(strange), covariate.name, rule, findings)


def _check_found(
    records: Records, row: Int[np.ndarray, " observations"], found: dict[str, np.ndarray]
) -> None:
    """Every observation must have a prediction; what has none by a steady state is told there."""
    findings = Findings(records.file)
    lost = np.zeros(len(records), bool)
    lost[row] = ~np.all([np.isfinite(v[row]) for v in found.values()], axis=0)
    span = spans(records)
    steady = (records.ss > 0) & np.isin(span, span[lost])
    rule = "must have a steady state that the solver finds"
    _tell(records, np.flatnonzero(steady), "ss", rule, findings)
    alone = lost & ~np.isin(span, span[steady])
    _tell(records, np.flatnonzero(alone), "", "must have a finite prediction", findings)
    findings.raise_if_any()


def _earlier(model: Model, records: Records, where: Shaped[np.ndarray, " all"]) -> Int[np.ndarray, " all"]:
    """How many doses before each steady-state record, at most, are still to be felt or running at it."""
    found, kind = np.zeros(len(records), int), kinds(records)
    steady = (kind >= 0) & (records.ss > 0) & (records.ii > 0.0)
    for name in np.unique(where[steady]).tolist():
        rows = np.flatnonzero(steady & (where == name))
        target = target_of(model, name)
        each = [(e.lag, e.share, 0.0 if e.lasts is None else e.lasts) for e in target.entries]
        lag, share, lasts = (max(float(np.max(v)) for v in column) for column in zip(*each, strict=True))
        given = records.rate[rows]
        rate = np.where(given > 0.0, given, np.min(np.asarray(target.rate)))
        by_rate = records.amt[rows] * len(target.entries) * share / rate
        longest = {"rate": by_rate, "modelled rate": by_rate, "duration": records.dur[rows]}
        longest["modelled duration"] = np.full(len(rows), np.max(np.asarray(target.duration)))
        longest["bolus"] = np.full(len(rows), lasts)
        lasting = np.select([kind[rows] == KINDS.index(k) for k in longest], list(longest.values()), 0.0)
        found[rows] = np.maximum(0.0, np.ceil((lag + lasting) / records.ii[rows]) - 1.0)
    return found


def _places(layouts: Sequence[Layout], count: int) -> Int[np.ndarray, " all"]:
    """Where each record stands in the layouts' arrays, one after the other."""
    found, offset = np.zeros(count, int), 0
    for plan in layouts:
        real = np.arange(len(plan.row))[:, None] < plan.records[None]
        found[plan.row[real]] = offset + np.flatnonzero(real.ravel())
        offset += plan.row.size
    return found


def _batches(records: Records) -> list[Int[np.ndarray, " rows"]]:
    """Rows of spans that have about as many records and doses, and fit into memory together.

    Few spans stay with longer ones: padding costs less than another program.
    """
    span = spans(records)
    doses = np.where(kinds(records) >= 0, 1 + records.addl, 0)
    size = np.bincount(span) + np.bincount(span, weights=doses).astype(int)
    level = np.ceil(np.log2(size)).astype(int)
    found, waiting, top = [], np.zeros(0, int), 0
    for power in np.unique(level)[::-1].tolist():
        mine = np.flatnonzero(level == power)
        if len(waiting) and (len(waiting) + len(mine)) << top > FEW:
            found += _parts(waiting, top)
            waiting = np.zeros(0, int)
        top = top if len(waiting) else power
        waiting = np.concatenate([waiting, mine])
    return [np.flatnonzero(np.isin(span, part)) for part in found + _parts(waiting, top)]


def _parts(mine: Int[np.ndarray, " spans"], power: int) -> list[Int[np.ndarray, " spans"]]:
    return np.array_split(mine, -(-len(mine) // max(1, MOST >> power)))
