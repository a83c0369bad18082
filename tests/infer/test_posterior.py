"""Mode, normal approximation and sampler against a posterior that quadrature can do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom, norm

from pkpd.checks import InputError
from pkpd.infer.arm import Arm
from pkpd.infer.coordinates import coordinates_of
from pkpd.infer.crowd import patient_changes
from pkpd.infer.fit import fit_problem
from pkpd.infer.laplace import Weighed, approximate, weigh
from pkpd.infer.mode import climb, gradient_of, hessian, polish, prior_starts
from pkpd.infer.nuts import sample
from pkpd.infer.predict import along
from pkpd.infer.prior import Prior
from pkpd.infer.problem import Problem, evaluator
from pkpd.infer.search import SCOUTS
from pkpd.infer.settings import Settings
from pkpd.model import wire
from pkpd.pd import TumourGrowth, Turnover
from pkpd.population import draw_patients
from pkpd.response import WeibullSurvival
from pkpd.response.joint import Endpoint
from pkpd.simulation import bind
from pkpd.solve import Multirate
from pkpd.store import Store

EVENTS, N, SPREAD = 12, 50, 0.7
GRID = np.linspace(-5, 4, 20_001)


@pytest.fixture(scope="module")
def problem():
    survival = WeibullSurvival(scale=0.004, shape=1.2, freeze=84.0)
    model = wire({"pool": Turnover(kout=0.1)}, {}, outcomes={"survival": survival})
    arm = Arm(bind(model, "none"), "study", "arm", N, (Endpoint("alive", 365.0),), (EVENTS,))
    priors = (("survival.scale", Prior("lognormal", 0.004, SPREAD)),)
    return Problem(model, (arm,), draw_patients([], 4), priors=priors)


def growing(patients):
    """The problem of patients whose tumours grow differently."""
    parts = {"pool": Turnover(kout=0.1), "tumour": TumourGrowth(kg=0.003, kkill=0.0)}
    survival = WeibullSurvival(scale=0.004, shape=1.2, b_size=0.9, freeze=84.0)
    wires = {"tumour": {"excess": "pool.excess"}, "survival": {"log_ratio": "tumour.log_ratio"}}
    model = wire(parts, wires, outcomes={"survival": survival}, variability={"tumour.kg": 1.0})
    arm = Arm(bind(model, "none"), "study", "arm", N, (Endpoint("alive", 365.0),), (EVENTS,))
    priors = (("survival.scale", Prior("lognormal", 0.004, SPREAD)),)
    return Problem(model, (arm,), draw_patients(model.variability, patients), Multirate(2.0), priors=priors)


@pytest.fixture(scope="module")
def exact():
    """Mean and standard deviation of the posterior, and its mode, on the prior's normal scale."""
    alive = np.exp(-((0.004 * np.exp(SPREAD * GRID) * 365) ** 1.2))
    density = norm.pdf(GRID) * binom.pmf(EVENTS, N, np.clip(alive, 1e-12, 1 - 1e-12))
    weights = density / density.sum()
    mean = weights @ GRID
    return mean, np.sqrt(weights @ (GRID - mean) ** 2), GRID[np.argmax(density)]


@pytest.fixture(scope="module")
def found(problem):
    compiled = gradient_of(problem)

    def gradient(x):
        return compiled(problem.patients, x)

    climbed = climb(gradient, prior_starts(problem, 4, 1))
    mode = polish(gradient, climbed.points[0])
    return gradient, climbed, mode, approximate(gradient, mode, coordinates_of(problem))


def test_every_start_finds_the_mode(found, exact):
    _, climbed, mode, _ = found
    assert climbed.converged.all()
    assert mode.point[0] == pytest.approx(exact[2], abs=1e-3)
    assert mode.gradient < 1e-9
    assert climbed.log_density == pytest.approx(mode.log_density, abs=1e-6)


def test_the_density_is_prior_times_likelihood(problem, found):
    gradient = found[0]
    for x in (-1.0, 0.3, 2.0):
        alive = np.exp(-((0.004 * np.exp(SPREAD * x) * 365) ** 1.2))
        expected = binom.logpmf(EVENTS, N, alive) - 0.5 * x**2
        assert gradient(jnp.asarray([x]))[0] == pytest.approx(expected, rel=1e-10)


def test_hessian(problem, found):
    gradient, _, mode, _ = found
    exact = -jax.jacfwd(jax.grad(problem.log_density))(jnp.asarray(mode.point))
    assert hessian(gradient, jnp.asarray(mode.point)) == pytest.approx(np.asarray(exact), rel=1e-6)


def test_normal_approximation(problem, found):
    normal = found[3]
    assert normal.top.point == pytest.approx(found[2].point)
    drawn = normal.points(normal.draw(4000))
    assert drawn.std() == pytest.approx(found[2].hessian[0, 0] ** -0.5, rel=0.05)


def test_importance_weights_correct_the_approximation(problem, found, exact):
    normal, spread = found[3], exact[1]
    shifted = normal._replace(top=normal.top._replace(point=normal.top.point + spread))
    weighed = weigh(problem, evaluator(problem), shifted, 2000)
    mean = weighed.weights @ weighed.points[:, 0]
    assert abs(weighed.points.mean() - exact[0]) > 0.9 * spread
    assert mean == pytest.approx(exact[0], abs=0.2 * spread)
    trusted = weighed._replace(pareto_k=0.5)
    assert trusted.trusted
    assert trusted.resampled(4000).mean() == pytest.approx(mean, abs=0.01)


def test_weights_that_fail_leave_the_approximation_as_it_is(found):
    points = found[3].points(found[3].draw(50))
    weighed = Weighed(points, np.full(50, 0.02), 0.9)
    assert not weighed.trusted
    assert weighed.resampled(20) is points


def test_sampler_finds_the_moments_of_quadrature(problem, found, exact):
    chain = sample(problem.log_density, found[3], chains=2, warmup=300, draws=1000, seed=3)
    mean, spread, _ = exact
    assert chain.points.mean() == pytest.approx(mean, abs=5 * spread / np.sqrt(500))
    assert chain.points.std() == pytest.approx(spread, rel=0.1)
    assert chain.diverging.mean() < 0.01


def test_starts_climb_with_few_patients_and_the_mode_is_that_of_all():
    many = growing(2 * SCOUTS)
    fit = fit_problem(many, Settings(starts=2, seed=3), quick=True)
    slope = gradient_of(many)(many.patients, jnp.asarray(fit.mode))[1]
    assert np.abs(slope).max() < 1e-6
    apart = np.abs(np.array(fit.starts["log_density"]) - fit.log_density)
    assert np.all((apart > 1e-6) & (apart < 1.0))


def test_a_gate_that_is_missed_is_a_status(problem):
    settings = Settings(starts=2, chains=2, warmup=20, draws=20, gates={"ess_bulk": 1e9, "starts_agree": 2})
    fit = fit_problem(problem, settings)
    assert fit.status == "not converged: ess_bulk" or fit.status.startswith("not converged: rhat")
    assert not fit.checks["ess_bulk"]
    assert fit.draws is not None
    assert fit.draws.shape == (2, 20, 1)
    (row,) = fit.arms
    assert row["predicted"] == pytest.approx(EVENTS / N, abs=0.05)


def test_patients_who_do_not_differ_change_nothing(problem, found):
    normal = found[3]
    evaluate, points = evaluator(problem), normal.points(normal.draw(50))
    first = along(evaluate, problem.patients, points)
    changes = patient_changes(problem, evaluate, normal.top.point, points, first)
    assert changes == pytest.approx({"noise": 0, "probability": 0, "estimate": 0}, abs=1e-9)


def test_more_patients_make_less_noise():
    points = np.linspace(-1.0, 1.0, 20)[:, None]
    few, many = (
        patient_changes(asked, compiled, np.zeros(1), points, along(compiled, asked.patients, points))
        for asked in (growing(4), growing(64))
        for compiled in [evaluator(asked)]
    )
    for key, value in few.items():
        assert 0.0 < many[key] < value / 4, key


def test_kept_sampling_goes_on_where_it_stopped(problem, found, tmp_path):
    def ask(store, draws, top=found[3]):
        return sample(problem.log_density, top, chains=2, warmup=60, draws=draws, seed=3, keep=store)

    store, whole = Store(tmp_path / "kept"), ask(None, 90)
    ask(store, 40)  # two blocks of three
    kept = {path.name for path in store.folder.iterdir()}
    again, moved = (
        ask(store, 90),
        found[3]._replace(top=found[3].top._replace(point=found[3].top.point + 0.1)),
    )
    assert len(kept) == 3
    for name in ("points", "log_density", "diverging", "steps", "energy"):
        assert np.array_equal(getattr(again, name), getattr(whole, name)), name
    assert np.array_equal(ask(store, 90, moved).points, whole.points)  # the coordinates are kept as well


def test_kept_sampling_of_another_density_is_refused(problem, found, tmp_path):
    store = Store(tmp_path)
    sample(problem.log_density, found[3], chains=2, warmup=50, draws=0, seed=3, keep=store)
    other = dataclasses.replace(problem, priors=(("survival.scale", Prior("lognormal", 0.005, SPREAD)),))
    with pytest.raises(InputError, match="today's density"):
        sample(other.log_density, found[3], chains=2, warmup=50, draws=50, seed=3, keep=store)
    (last,) = tmp_path.glob("*-0.npz")
    last.write_bytes(last.read_bytes()[:100])
    with pytest.raises(InputError, match=r"-0\.npz: must be a whole file"):
        sample(problem.log_density, found[3], chains=2, warmup=50, draws=50, seed=3, keep=store)
