"""Every model of the catalogue: its published facts, its sources, its response to a dose."""

import dataclasses
import re
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_card, load_model, model_names, model_path
from pkpd.explore.facts import Course, FactResult, Typical, evaluate
from pkpd.model import Model
from pkpd.simulation import bind
from pkpd.solve import ODE, AbstractSolver, Multirate
from pkpd.solve.solver import clock

NAMES = model_names()
CARDS = {name: load_card(name) for name in NAMES}
DRUGS = [name for name, card in CARDS.items() if card.drug]
DISEASES = [name for name in NAMES if name not in DRUGS]

model_of = lru_cache(load_model)


@lru_cache
def results(name: str) -> list[FactResult]:
    return evaluate(model_of(name), CARDS[name])


@lru_cache
def typical(name: str) -> Typical:
    return Typical(model_of(name))


def facts(missed: bool) -> list:
    """One case per fact: the model and the place of the fact among the results."""
    cases = []
    for name, card in CARDS.items():
        known = card.misses if missed else card.reproduces
        first = len(card.reproduces) if missed else 0
        cases += [pytest.param(name, first + i, id=f"{f.quantity}-{f.source}") for i, f in enumerate(known)]
    return cases


# ---------------------------------------------------------------- published facts


@pytest.mark.parametrize(("name", "place"), facts(missed=False))
def test_a_fact_is_reproduced(name: str, place: int) -> None:
    result = results(name)[place]
    assert result.inside, tell(result)


@pytest.mark.parametrize(("name", "place"), facts(missed=True))
def test_a_miss_is_a_miss(name: str, place: int) -> None:
    """A miss that comes true belongs under `reproduces`."""
    result = results(name)[place]
    assert np.isfinite(result.value)
    assert not result.inside, tell(result)


def tell(result: FactResult) -> str:
    fact = result.fact
    return f"{fact.regimen}: {result.value:g} {fact.unit}, published {fact.low:g} to {fact.high:g}"


def test_results_are_in_the_order_of_the_card() -> None:
    for name, card in CARDS.items():
        assert [result.fact for result in results(name)] == [*card.reproduces, *card.misses]


def test_enough_facts_are_reproduced() -> None:
    kinds = [fact.kind for name in DRUGS for fact in CARDS[name].reproduces]
    assert len(kinds) >= 14
    assert kinds.count("independent") >= 10


def test_a_result_in_plain_json() -> None:
    result = results("aldesleukin")[1]
    told = result.as_dict()
    assert (told["quantity"], told["published"], told["unit"], told["inside"]) == ("tmax", 4.4, "h", True)
    assert result.ratio == told["ratio"] == pytest.approx(result.value / 4.4)
    assert all(isinstance(value, str | float | bool) for value in told.values())


@pytest.mark.parametrize("drug", sorted(CARDS["neuroimmunotherapy"].drugs))
def test_a_drug_is_the_same_in_a_disease(drug: str) -> None:
    """In another unit of time and of amount, beside another drug."""
    disease = "neuroimmunotherapy"
    inner = CARDS[disease].drugs[drug]
    assert inner.units == CARDS[disease].units != CARDS[drug].units
    found = evaluate(model_of(disease), inner)
    alone = [result.value for result in results(drug)]
    assert [result.value for result in found] == pytest.approx(alone, rel=2e-6)


# ---------------------------------------------------------------- sources


@pytest.mark.parametrize("name", NAMES)
def test_every_source_is_cited(name: str) -> None:
    """By its key, or in words as "Author year"."""
    text = model_path(name).read_text(encoding="utf-8")
    body = re.sub(r"(?m)^\[sources\.[^\n]*\n(?:[^\[\n][^\n]*\n|\n)*", "", text)
    assert "[sources." not in body
    for key in re.findall(r"(?m)^\[sources\.(\w+)\]", text):
        author = CARDS[name].sources[key].citation.split()[0]
        year = re.search(r"\d{4}", key)
        names = [key, f"{author} {year[0]}"] if year else [key]
        assert any(re.search(rf"\b{re.escape(n)}\b", body) for n in names), key


# ---------------------------------------------------------------- response to a dose


@pytest.mark.parametrize(
    ("name", "drug", "route"),
    [(name, d.name, route) for name in NAMES for d in model_of(name).drugs for route in d.routes],
)
def test_a_dose_changes_all_that_depends_on_it(name: str, drug: str, route: str) -> None:
    """Beside the other drugs, without which it may do nothing."""
    model = model_of(name)
    others = [f"{d.name} 1 mg {d.routes[0]}" for d in model.drugs if d.name != drug]
    given = outputs(name, " + ".join([*others, f"{drug} 1 mg {route}"]))
    without = outputs(name, " + ".join(others) or "none")
    affected = reached(model, drug, route)
    assert f"{drug}.central" in affected
    for path in model.outputs:
        scale = np.abs(given[path]).max()
        change = np.abs(given[path] - without[path]).max()
        assert (change > 1e-6 * scale) == (path in affected), path


@lru_cache
def outputs(name: str, regimen: str) -> dict[str, np.ndarray]:
    """All outputs of the typical patient at some times of three days."""
    model = model_of(name)
    times = np.array([0.1, 0.3, 0.7, 1.0, 2.0, 3.0]) * model.units.day
    course = typical(name).course(regimen, times[-1])
    states = dict(zip(model.states, jnp.asarray(states_at(course, times)), strict=True))
    since = dict(zip([d.name for d in model.drugs], jnp.asarray(course.first), strict=True))
    found = model.signals(states, clock(jnp.asarray(times), since))
    return {path: np.broadcast_to(found[path], times.shape) for path in model.outputs}


def states_at(course: Course, times: np.ndarray) -> np.ndarray:
    """States before what happens at these times [states, times]."""
    found = [next(y(t) for begin, end, y in course.pieces if begin < t <= end) for t in times]
    return np.stack(found, axis=1)


def reached(model: Model, drug: str, route: str) -> set[str]:
    """Outputs that a wire leads to, through any number of components, from where the dose enters."""
    done: set[str] = set()
    todo = {model.route(drug, route)[1].rpartition(".")[0]}
    todo |= {owner for owner, _, sources in model.wires if f"{drug}.since" in sources}
    todo &= set(model.components)
    while todo:
        done |= todo
        wired = {owner for owner, _, sources in model.wires for s in sources if s.rpartition(".")[0] in todo}
        todo = wired & set(model.components) - done
    return {f"{name}.{output}" for name in done for output in model.components[name].outputs}


# ---------------------------------------------------------------- one patient, three ways

INJECTIONS = "aldesleukin 3 MIU sc q24h x2 + aldesleukin 2 MIU iv from 30 h"
INFUSION = "aldesleukin 3 MIU sc q24h x2 + aldesleukin 2 MIU iv over 6 h from 30 h"
TIMES = np.array([1.0, 6.0, 12.0, 24.0, 33.0, 36.0, 40.0, 48.0])


@pytest.mark.parametrize(
    ("solver", "regimen", "rtol"),
    [
        pytest.param(ODE(rtol=1e-10, atol=1e-10), INFUSION, 1e-6, id="ode"),
        pytest.param(Multirate(per_day=42.0), INJECTIONS, 1e-3, id="grid"),
        pytest.param(Multirate(per_day=42.0), INFUSION, 1e-3, id="grid-infusion"),
    ],
)
def test_the_quick_course_is_that_of_the_solvers(solver: AbstractSolver, regimen: str, rtol: float) -> None:
    model = model_of("aldesleukin")
    found = solver.states(model, bind(model, regimen), TIMES.tolist(), 1)
    course = typical("aldesleukin").course(regimen, TIMES[-1])
    for state, values in zip(model.states, states_at(course, TIMES), strict=True):
        assert np.asarray(found[state])[:, 0] == pytest.approx(values, rel=rtol, abs=1e-3 * rtol), state


def test_a_window_is_sampled_from_event_to_event() -> None:
    course = typical("melatonin").course("melatonin 1 mg iv q24h x3", 72.0)
    central = model_of("melatonin").states.index("melatonin.central_amount")
    times, states = course.sample(24.0, 60.0)
    assert (times[0], times[-1]) == (24.0, 60.0)
    assert states[central, 0] == pytest.approx(1e6 / 232.28, rel=1e-6)  # 1 mg in nmol: the dose has happened
    (jump,) = np.flatnonzero(np.diff(times) == 0.0)
    assert times[jump] == 48.0
    assert states[central, jump + 1] - states[central, jump] == pytest.approx(1e6 / 232.28, rel=1e-6)
    times, _ = course.sample(0.0, 24.0, even=True)
    assert np.ptp(np.diff(times)) < 1e-9


def test_the_time_of_a_peak_counts_from_the_start_of_its_window() -> None:
    card = CARDS["melatonin"]
    fact = next(f for f in card.reproduces if (f.quantity, f.source) == ("tmax", "harpsoe2015"))
    regimen = "melatonin 10 mg po q48h x2"
    later = dataclasses.replace(fact, regimen=regimen, start=48.0, until=fact.until + 48.0)
    both = dataclasses.replace(card, reproduces=(fact, later), misses=())
    first, second = evaluate(model_of("melatonin"), both)
    assert second.value == pytest.approx(first.value, rel=1e-4)
