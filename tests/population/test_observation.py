"""Residual errors against the distributions of scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from pkpd.catalogue import load_model
from pkpd.catalogue.structures import RESIDUALS
from pkpd.checks import InputError
from pkpd.model import Drug, wire
from pkpd.observation import observe
from pkpd.parameters import declarations
from pkpd.pk import Bolus, OneCompartment
from pkpd.response import AdditiveError, CombinedError, LogNormalError, ProportionalError

LEVEL = 3.0
ERRORS = {
    "additive": (AdditiveError(add_sd=0.5), stats.norm(LEVEL, 0.5)),
    "proportional": (ProportionalError(prop_sd=0.2), stats.norm(LEVEL, 0.6)),
    "combined": (CombinedError(add_sd=0.5, prop_sd=0.2), stats.norm(LEVEL, np.hypot(0.5, 0.6))),
    "log-normal": (LogNormalError(log_sd=0.3), stats.lognorm(0.3, scale=LEVEL)),
}


def model(error, *predictions: str):
    parts = {"x.iv": Bolus(), "x": OneCompartment(cl=2.0, v=10.0)}
    wires = {"assay": {"prediction": predictions or "x.central"}}
    return wire(parts, wires, drugs=[Drug("x", ("iv",))], residuals={"assay": error})


@pytest.mark.parametrize("name", ERRORS)
def test_observations_have_the_distribution_that_is_stated(name):
    error, expected = ERRORS[name]
    found = observe(model(error), {"x.central": jnp.full((1, 20_000), LEVEL), "other": jnp.ones(3)}, seed=1)
    assert stats.kstest(np.asarray(found["x.central"]).ravel(), expected.cdf).pvalue > 1e-3
    assert error.sd(jnp.array([LEVEL])) == pytest.approx(expected.std())
    assert np.array_equal(found["other"], np.ones(3))


@pytest.mark.parametrize("name", ERRORS)
def test_gradients_at_the_corners_too(name):
    error, _ = ERRORS[name]
    for prediction in (0.0, 2.0):
        for scale in (0.0, 1.0):
            changed = jax.tree.map(lambda v, s=scale: v * s, error)
            slopes = jax.grad(lambda e, p=prediction: jnp.sum(e.sd(jnp.array([p]))))(changed)
            assert all(np.isfinite(v) for v in jax.tree.leaves(slopes))

    def total(scale):
        changed = jax.tree.map(lambda v: v * scale, error)
        return jnp.sum(observe(model(changed), {"x.central": jnp.array([[1.0, 4.0]])}, 2)["x.central"])

    difference = float(total(1.0 + 1e-6) - total(1.0 - 1e-6)) / 2e-6
    assert float(jax.grad(total)(1.0)) == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize("name", ERRORS)
def test_observations_do_not_depend_on_units(name):
    error, _ = ERRORS[name]
    wide = {f: getattr(error, f) * (1e3 if f == "add_sd" else 1.0) for f in declarations(error)}
    noise, level = jnp.array([-1.0, 0.0, 2.0]), jnp.array([0.0, 1.0, 5.0])
    found = type(error)(**wide).observed(1e3 * level, noise)
    assert found == pytest.approx(1e3 * np.asarray(error.observed(level, noise)), rel=1e-12)


def test_every_residual_error_is_tested():
    assert {type(error).__name__ for error, _ in ERRORS.values()} == set(RESIDUALS.exported())


def test_noise_is_a_patients_own_whoever_else_is_there():
    built = model(ERRORS["additive"][0])
    few, many = (observe(built, {"x.central": jnp.ones((4, n))}, 7)["x.central"] for n in (3, 9))
    assert np.array_equal(few, many[:, :3])
    assert not np.array_equal(few, observe(built, {"x.central": jnp.ones((4, 3))}, 8)["x.central"])


def test_a_model_without_residual_error_is_refused():
    with pytest.raises(InputError, match=r"must have a residual error in the model.*\[residuals\]"):
        observe(load_model("melatonin"), {"melatonin.central": jnp.ones((1, 1))})
    with pytest.raises(InputError, match=r"assay\.inputs\.prediction: must be one output"):
        model(ERRORS["additive"][0], "x.central", "x.central")
