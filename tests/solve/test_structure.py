"""What doses leave at rest, found on the model itself."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from pkpd.catalogue import load_model
from pkpd.individuals import individualise, sample_patients
from pkpd.pd.turnover import Turnover
from pkpd.simulation import bind
from pkpd.solve import Multirate
from pkpd.solve.parts import parts_of
from pkpd.solve.structure import resting

EFFECTS = {"effector.level", "memory.value", "exposure.total"}
POOL = {"aldesleukin.central_amount", "aldesleukin.peripheral1_amount", "aldesleukin.pool.level"}


@pytest.fixture(scope="module")
def model():
    return load_model("neuroimmunotherapy_exposure_direct")


@pytest.mark.parametrize(
    ("entered", "still"),
    [
        ({"melatonin.po.depot"}, POOL | EFFECTS),
        ({"aldesleukin.sc.depot"}, {"melatonin_mean.level"}),
        (set(), POOL | EFFECTS | {"melatonin_mean.level"}),
        ({"aldesleukin.sc.depot", "melatonin.po.depot"}, set()),
    ],
)
def test_what_a_drug_does_not_reach_is_at_rest(model, entered, still):
    parts = parts_of(model, entered)
    assert parts.at_rest == still
    solved = {s for block in (*parts.inner, *parts.outer) for s in block.states}
    assert not solved & still
    assert solved | still == {
        s for block in (*parts_of(model).inner, *parts_of(model).outer) for s in block.states
    }


def test_a_growing_tumour_is_never_at_rest():
    assert "tumour.log_ratio" not in resting(load_model("neuroimmunotherapy"), frozenset())


def test_what_acts_above_a_threshold_alone_is_not_at_rest(model, monkeypatch):
    def above(self, x, u):
        return {"level": self.kout * (self.base * (1.0 + jnp.maximum(u["stimulus"] - 5.0, 0.0)) - x["level"])}

    monkeypatch.setattr(Turnover, "derivative", above)
    still = resting(model, frozenset({"aldesleukin.sc.lymph"}))
    assert "aldesleukin.pool.level" not in still
    assert "melatonin_mean.level" in still


def test_states_at_rest_follow_their_parameters(model):
    """A pool that no drug stimulates is its base; a dose of nothing may stimulate it, as its slope tells."""
    patients, events = sample_patients(model, 2, 1), bind(model, "melatonin 40 mg po q24h x2")
    both = bind(model, "aldesleukin 3 MIU sc + melatonin 40 mg po")
    first = jnp.asarray([drug == "aldesleukin" for drug, _ in both.route])

    def at_base(log_base):
        changed = model.replace(
            {"aldesleukin.pool.base": model.get("aldesleukin.pool.base") * jnp.exp(log_base)}
        )
        found = Multirate(6.0).states(individualise(changed, patients), events, (1.0, 2.0), 2)
        return found["aldesleukin.pool.level"].sum()

    def at_dose(amount):
        dosed = dataclasses.replace(both, amount=jnp.where(first, amount, both.amount))
        found = Multirate(6.0).states(individualise(model, patients), dosed, (1.0, 2.0), 2)
        return found["aldesleukin.pool.level"].sum()

    level, slope = jax.jit(jax.value_and_grad(at_base))(0.0)
    assert level == pytest.approx(float(slope), rel=1e-12)
    assert jax.jit(jax.grad(at_dose))(0.0) > 0.0
