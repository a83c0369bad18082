"""A sampler that moves on an emulator: the posterior of the model, whatever the emulator says."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from pkpd.checks import InputError
from pkpd.infer import emulated
from pkpd.infer.arm import Arm
from pkpd.infer.coordinates import coordinates_of
from pkpd.infer.diagnostics import Draws, summary
from pkpd.infer.emulated import Emulation, Examples, sample_on
from pkpd.infer.emulator import from_numbers, inputs, learn, to_numbers
from pkpd.infer.fit import fit_problem
from pkpd.infer.laplace import approximate
from pkpd.infer.levels import Level
from pkpd.infer.mode import gradient_of, polish
from pkpd.infer.predict import along
from pkpd.infer.prior import Prior
from pkpd.infer.problem import Problem, evaluator, free
from pkpd.infer.settings import Settings
from pkpd.likelihood.reports import Seen
from pkpd.model import wire
from pkpd.pd import TumourGrowth, Turnover
from pkpd.population import draw_patients
from pkpd.response import WeibullSurvival
from pkpd.response.joint import Endpoint
from pkpd.simulation import bind
from pkpd.solve import Multirate
from pkpd.store import Store

N, EVENTS = 50, {"one": 12, "two": 20}
GRID = np.linspace(-4, 4, 81)
SHORT = Settings(starts=2, chains=2, warmup=100, draws=100, emulate=200, seed=3)


def problem_of(studies=("one",), levels=()):
    """Patients whose tumours grow differently, in arms without treatment."""
    parts = {"pool": Turnover(kout=0.1), "tumour": TumourGrowth(kg=0.003, kkill=0.0)}
    survival = WeibullSurvival(scale=0.004, shape=1.2, b_size=0.9, freeze=84.0)
    wires = {"tumour": {"excess": "pool.excess"}, "survival": {"log_ratio": "tumour.log_ratio"}}
    model = wire(parts, wires, outcomes={"survival": survival}, variability={"tumour.kg": 1.0})
    endpoint = Endpoint("alive", 365.0)
    arms = tuple(Arm(bind(model, "none"), s, "arm", N, (endpoint,), (EVENTS[s],)) for s in studies)
    priors = free({"survival.scale": Prior("lognormal", 0.004, 0.7)}, levels)
    patients = draw_patients(model.variability, 16)
    return Problem(model, arms, patients, Multirate(2.0), priors=priors, levels=levels)


@pytest.fixture(scope="module")
def asked():
    """A problem, its evaluator, its normal approximation, and what it says at points of the prior."""
    problem = problem_of()
    compiled, evaluate = gradient_of(problem), evaluator(problem)

    def gradient(x):
        return compiled(problem.patients, x)

    normal = approximate(gradient, polish(gradient, np.zeros(1)), coordinates_of(problem))
    points = np.random.default_rng(1).standard_normal((200, 1))
    numbers = np.array([to_numbers(evaluate(problem.patients, jnp.asarray(x)).seen[0]) for x in points])
    return problem, evaluate, normal, points, numbers


@pytest.fixture(scope="module")
def exact(asked):
    """Mean and standard deviation of the posterior by quadrature."""
    likely = along(asked[1], asked[0].patients, GRID[:, None]).log_likelihood
    weights = norm.pdf(GRID) * np.exp(likely - likely.max())
    mean = weights @ GRID / weights.sum()
    return mean, np.sqrt(weights @ (GRID - mean) ** 2 / weights.sum())


def test_the_posterior_is_that_of_quadrature(asked, exact):
    fit = fit_problem(asked[0], dataclasses.replace(SHORT, draws=1000))
    mean, spread = exact
    found = fit.diagnostics["emulator"]
    assert fit.checks["emulator"]
    assert found["examples"] == 200
    assert found["error"] < 0.1
    assert 0.95 < found["accepted"] < 1.0
    assert fit.points.mean() == pytest.approx(mean, abs=5 * spread / np.sqrt(fit.diagnostics["ess_bulk_min"]))
    assert fit.points.std() == pytest.approx(spread, rel=0.1)


def test_a_wrong_emulator_costs_proposals_and_no_truth(asked, exact):
    problem, evaluate, normal, points, numbers = asked
    emulator = learn(problem, normal.coordinates, points, [numbers])
    (right,) = emulator.arms
    assert right is not None
    wrong = eqx.tree_at(lambda arm: arm.given.mean, right, right.given.mean + jnp.array([0.25, -0.25]))
    emulator = dataclasses.replace(emulator, arms=[wrong])
    grid = jnp.asarray(GRID[:, None])
    said = norm.logpdf(GRID) + np.array([emulator.log_likelihood(x) for x in grid])
    weights = np.exp(said - said.max())
    mean, spread = exact
    assert abs(weights @ GRID / weights.sum() - mean) > 0.5 * spread
    draws, found = sample_on(emulator, evaluate, normal, dataclasses.replace(SHORT, draws=2000))
    size = summary(draws, problem.names)["ess_bulk_min"]
    assert 0.3 < found.accepted < 0.8
    assert draws.points.mean() == pytest.approx(mean, abs=4 * spread / np.sqrt(size))
    assert draws.points.std() == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize(("shapes", "rounds"), [((0.3,), 1), ((0.9, 0.2), 2), ((0.9, 0.8, 0.9), 3)])
def test_an_emulator_that_is_off_in_the_tails_learns_more(asked, monkeypatch, shapes, rounds):
    """At draws of the sampler that it has just served badly; three times at most."""
    problem, evaluate, normal, points, numbers = asked
    learnt, left = [], list(shapes)
    draws = Draws(np.linspace(-3.0, 3.0, 200).reshape(2, 100, 1), *[np.zeros((2, 100))] * 4)

    def served(emulator, *arguments):
        learnt.append((len(emulator), arguments[-1]))
        return draws, Emulation(200, 0.1, 0.9, left.pop(0))

    monkeypatch.setattr(emulated, "sample_on", served)
    monkeypatch.setattr(emulated, "_examples", lambda *arguments: [Examples(points, [numbers])])
    monkeypatch.setattr(emulated, "_learnt", lambda *given: np.concatenate([e.points for e in given[-1]]))
    found, emulation = emulated.sample_emulated(problem, evaluate, normal, SHORT)
    assert learnt == [(200, ""), (250, "-again-1"), (300, "-again-2")][:rounds]
    assert (emulation.examples, emulation.pareto_k) == (150 + 50 * rounds, shapes[-1])
    assert found is draws


def test_an_arm_that_counts_for_nothing_is_not_learnt(asked):
    problem, _, normal, points, numbers = asked
    one, other = problem.arms[0], dataclasses.replace(problem.arms[0], name="other", weight=0.0)
    both = dataclasses.replace(problem, arms=(one, other))
    alone = learn(problem, normal.coordinates, points, [numbers])
    emulator = learn(both, normal.coordinates, points, [numbers, numbers])
    assert emulator.arms[1] is None
    x = jnp.asarray([0.3])
    assert emulator.log_likelihood(x) == alone.log_likelihood(x)


def test_numbers_stand_for_what_is_seen():
    table, alive = np.array([[0.2, 0.3], [0.5, 0.0]]), np.array([1.0, 0.7, 1e-3])
    with np.errstate(divide="ignore"):
        seen = Seen(jnp.log(table), jnp.log(alive), {("pool.level", 3.0): jnp.asarray(1.7)}, (0.0, 1.0, 2.0))
    again = from_numbers(to_numbers(seen), seen)
    assert again.table is not None
    assert np.exp(np.asarray(again.table)) == pytest.approx(table, abs=2e-6)
    assert np.exp(np.asarray(again.log_alive)) == pytest.approx(alive, abs=2e-6)
    assert again.means == seen.means
    assert again.looks == seen.looks


def test_an_arm_knows_the_deviation_of_its_study():
    level = Level("survival.scale", "study", ("one", "two"), 0.3, reference="two")
    problem = problem_of(("one", "two"), (level,))
    x = jnp.asarray([0.2, 0.5, -1.0])
    sd = problem.values(x)["survival.scale.study_sd"]
    first, second = (inputs(problem, coordinates_of(problem), x, arm) for arm in problem.arms)
    assert first == pytest.approx(np.array([0.2, -1.0 * float(sd)]))
    assert second == pytest.approx(np.array([0.2, 0.0]))


def test_kept_sampling_goes_on_where_it_stopped(asked, tmp_path):
    problem, evaluate, normal, points, numbers = asked
    emulator = learn(problem, normal.coordinates, points, [numbers])

    def ask(store, draws):
        return sample_on(emulator, evaluate, normal, dataclasses.replace(SHORT, draws=draws), keep=store)[0]

    store, whole = Store(tmp_path / "kept"), ask(None, 150)
    ask(store, 10)
    ask(store, 100)
    assert len(list(store.folder.iterdir())) == 5
    next(store.folder.glob("*-1.npz")).unlink()
    again = ask(store, 150)
    for name in ("points", "log_density", "diverging", "steps", "energy"):
        assert np.array_equal(getattr(again, name), getattr(whole, name)), name
    other = dataclasses.replace(problem, priors=(("survival.scale", Prior("lognormal", 0.005, 0.7)),))
    moved, changed = dataclasses.replace(emulator, problem=other), evaluator(other)
    with pytest.raises(InputError, match="today's density"):
        sample_on(moved, changed, normal, SHORT, keep=store)
    next(store.folder.glob("*-3.npz")).unlink()
    with pytest.raises(InputError, match="today's density"):
        sample_on(moved, changed, normal, SHORT, keep=store)
