"""What ArviZ reads of a posterior, and what it says of the same draws."""

from importlib import metadata

import arviz
import numpy as np
import pytest
import xarray

from pkpd.checks import InputError
from pkpd.infer.diagnostics import Draws, pareto_k, smoothed, summary
from pkpd.records import inference_data, load_answer, to_arviz

FIT = "lissoni1995/joint"


@pytest.fixture(scope="module")
def answer():
    return load_answer(FIT)[1]


def test_a_stored_answer_is_read_with_its_units(answer):
    posterior = to_arviz(answer).posterior
    assert dict(posterior.sizes) == {"chain": 1, "draw": len(answer.draws)}
    assert set(posterior) == set(answer.names)
    for name in answer.names:
        told = answer.content["estimates"][name]
        assert posterior[name].attrs["units"] == told["unit"]
        low, high = told["ci95"]
        inside = float(((posterior[name] >= low) & (posterior[name] <= high)).mean())
        assert inside == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / len(answer.draws)))
    table = arviz.summary(to_arviz(answer), kind="stats")
    assert set(table.index) == set(answer.names)


def test_later_releases_get_a_tree(answer, monkeypatch):
    monkeypatch.setattr(inference_data, "version", lambda name: "1.3.0")
    tree = to_arviz(answer)
    assert isinstance(tree, xarray.DataTree)
    assert set(tree["posterior"].data_vars) == set(answer.names)


def test_without_arviz_the_error_says_what_to_install(answer, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(inference_data, "version", missing)
    with pytest.raises(InputError, match=r"pkpd\[arviz\]"):
        to_arviz(answer)


@pytest.fixture(scope="module")
def chains():
    """Four chains of a skewed and of a normal number, each draw near the last; they lie a little apart."""
    random, noise = np.random.default_rng(4), np.zeros((4, 400, 2))
    for t in range(1, 400):
        noise[:, t] = 0.5 * noise[:, t - 1] + random.standard_normal((4, 2))
    points = noise + 0.3 * np.arange(4)[:, None, None]
    points[..., 0] = np.exp(points[..., 0])
    shape = points.shape[:2]
    return Draws(
        points, np.zeros(shape), np.zeros(shape) > 1, np.ones(shape), random.standard_gamma(8, shape)
    )


def test_diagnostics_are_those_of_arviz(chains):
    found = summary(chains, ["a", "b"])
    ours = xarray.Dataset({name: (("chain", "draw"), chains.points[..., i]) for i, name in enumerate("ab")})
    theirs = arviz.summary(ours, kind="diagnostics", round_to="none")
    assert list(found["rhat"].values()) == pytest.approx(theirs["r_hat"], rel=1e-3)
    assert list(found["ess_bulk"].values()) == pytest.approx(theirs["ess_bulk"], rel=0.02)
    assert list(found["ess_tail"].values()) == pytest.approx(theirs["ess_tail"], rel=0.02)
    assert found["ebfmi_min"] == pytest.approx(float(np.min(arviz.bfmi(chains.energy))), rel=1e-9)


@pytest.mark.parametrize("spread", [0.8, 1.3])
def test_smoothed_weights_are_those_of_arviz(spread):
    x = np.random.default_rng(3).standard_normal(4000)
    logs = -0.5 * (x / spread) ** 2 + 0.5 * x**2
    theirs, k = arviz.psislw(logs)
    assert pareto_k(logs) == pytest.approx(float(k), abs=1e-6)
    assert smoothed(logs) == pytest.approx(np.exp(np.asarray(theirs)), rel=1e-6)
