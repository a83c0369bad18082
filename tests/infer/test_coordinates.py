"""The map to reference-effect coordinates is exact, whatever its approximation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.individuals import sample_patients
from pkpd.infer.arm import Arm
from pkpd.infer.coordinates import Coordinates, coordinates_of
from pkpd.infer.levels import Level
from pkpd.infer.prior import Prior
from pkpd.infer.problem import Problem, free
from pkpd.response.joint import Endpoint
from pkpd.simulation import bind

PRIORS = (Prior("normal", 0.3, 0.5), Prior("lognormal", 2.0, 0.8))


@pytest.fixture
def coordinates():
    rng = np.random.default_rng(4)
    linear, square = rng.standard_normal((2, 5)), 0.2 * rng.standard_normal((2, 5, 5))
    linear[:, [1, 3]] = square[:, [1, 3]] = square[:, :, [1, 3]] = 0.0
    return Coordinates(jnp.asarray(linear), jnp.asarray(square), (1, 3), PRIORS)


POINT = jnp.asarray([0.4, -1.2, 0.7, 1.5, -0.3])


def test_there_and_back(coordinates):
    assert coordinates.point(coordinates.inverse(POINT)) == pytest.approx(np.asarray(POINT), rel=1e-12)


def test_determinant(coordinates):
    sign, log_size = np.linalg.slogdet(np.asarray(jax.jacobian(coordinates.point)(POINT)))
    assert sign > 0
    assert coordinates.log_jacobian(POINT) == pytest.approx(log_size, rel=1e-12)


def test_a_slope_is_stated_by_its_effect(coordinates):
    x = coordinates.point(POINT)
    size = jnp.exp(coordinates.log_size(POINT))
    for k, place in enumerate(coordinates.slopes):
        effect = PRIORS[k].natural(x[place]) * size[k]
        assert effect == pytest.approx(float(PRIORS[k].natural(POINT[place])), rel=1e-12)


def test_gradient_of_the_pulled_density(coordinates):
    def density(x):
        return -0.5 * jnp.sum((x - 0.3) ** 2) + jnp.sin(x[0] * x[1])

    pulled = coordinates.gradient(jax.value_and_grad(density))

    def direct(z):
        return density(coordinates.point(z)) + coordinates.log_jacobian(z)

    value, slope = pulled(POINT)
    assert value == pytest.approx(float(direct(POINT)), rel=1e-12)
    assert slope == pytest.approx(np.asarray(jax.grad(direct)(POINT)), rel=1e-10)


def test_drivers_of_the_shipped_model_are_found():
    model = load_model("neuroimmunotherapy")
    arm = Arm(bind(model, "aldesleukin 3 MIU sc q24h x7"), "s", "a", 10, (Endpoint("regression"),), (2,))
    priors = (
        ("effector.kout", Prior("lognormal", 0.069, 0.25)),
        ("stimulus.emax", Prior("lognormal", 28.0, 0.7)),
        ("tumour.kkill", Prior("lognormal", 0.002, 0.9)),
    )
    problem = Problem(model, (arm,), sample_patients(model, 4), priors=priors)
    found = coordinates_of(problem)
    assert found.slopes == (2,)
    assert found.linear[0, 1] == pytest.approx(0.7, abs=0.1)  # the excess is proportional to emax
    assert float(jnp.abs(found.linear[0, 2])) == 0.0


@pytest.mark.slow
def test_deviations_of_studies_decide_no_driver():
    """Four studies add fifteen numbers; with them a quadratic of all would have more terms than points."""
    model = load_model("neuroimmunotherapy_exposure")
    studies = ("a", "b", "c", "d")
    events, endpoint = bind(model, "aldesleukin 3 MIU sc q24h x7"), Endpoint("regression")
    arms = tuple(Arm(events, study, "arm", 10, (endpoint,), (2,)) for study in studies)
    paths = ("effector.kout", "stimulus.emax", "stimulus.ec50")
    levels = tuple(Level(path, "study", studies, 0.3) for path in paths)
    priors = {path: Prior("lognormal", float(model.get(path)), 0.5) for path in ("regression.x50", *paths)}
    problem = Problem(model, arms, sample_patients(model, 4), priors=free(priors, levels), levels=levels)
    found = coordinates_of(problem)
    added = [i for i, name in enumerate(problem.names) if name not in model.declared]
    assert len(added) == 15
    assert not found.linear[:, added].any()
    assert not found.square[:, added].any()
    assert found.linear[0, problem.names.index("stimulus.emax")] == pytest.approx(-0.5, abs=0.02)


def test_a_scale_divides_its_driver():
    model = load_model("neuroimmunotherapy_exposure")
    arm = Arm(bind(model, "aldesleukin 3 MIU sc q24h x7"), "s", "a", 10, (Endpoint("regression"),), (2,))
    priors = (
        ("regression.x50", Prior("lognormal", 1.0, 1.2)),
        ("stimulus.emax", Prior("lognormal", 28.0, 0.7)),
    )
    found = coordinates_of(Problem(model, (arm,), sample_patients(model, 4), priors=priors))
    assert found.slopes == (0,)
    assert found.linear[0, 1] == pytest.approx(-0.7, abs=0.02)  # the exposure is proportional to emax
