"""Wiring: what fits together, and every fault that is told."""

import jax.numpy as jnp
import pytest

from pkpd.checks import InputError
from pkpd.model import Drug, wire
from pkpd.pd import Amplifier, Emax, Potentiation, Turnover
from pkpd.pk import Bolus, FirstOrder, OneCompartment, TargetMediated
from pkpd.response import PerformanceStatus, WHOResponse

PARTS = {
    "drug.po": FirstOrder(ka=1.0),
    "drug.iv": Bolus(),
    "drug": OneCompartment(cl=1.0, v=10.0),
    "effect": Emax(emax=2.0, ec50=3.0),
    "pool": Turnover(kout=0.1),
}
WIRES = {"effect": {"c": "drug.central"}, "pool": {"stimulus": "effect.effect"}}
DRUGS = [Drug("drug", ("po", "iv"))]


def faults(parts=PARTS, wires=WIRES, **more):
    with pytest.raises(InputError) as caught:
        wire(parts, wires, drugs=DRUGS, **more)
    return [str(fault) for fault in caught.value.faults]


def test_a_model_evaluates():
    model = wire(PARTS, WIRES, drugs=DRUGS)
    y = {"drug.po.depot": 2.0, "drug.central_amount": 30.0, "pool.level": 1.5}
    change = model.derivative(y, {"time": 0.0, "drug.since": 0.0})
    assert change["drug.po.depot"] == pytest.approx(-2.0)
    assert change["drug.central_amount"] == pytest.approx(2.0 - 0.1 * 30.0)
    assert float(change["pool.level"]) == pytest.approx(0.1 * (1.0 + 2.0 * 3.0 / 6.0 - 1.5))


def test_parameters_by_path():
    model = wire(PARTS, WIRES, drugs=DRUGS, variability={"drug.cl": 0.3})
    changed = model.replace({"drug.cl": 2.5, "drug.cl.iiv": 0.1})
    assert (changed.get("drug.cl"), changed.get("drug.cl.iiv")) == (2.5, 0.1)
    assert model.get("drug.cl") == 1.0
    with pytest.raises(InputError, match=r'Did you mean "drug.cl"'):
        model.get("drug.kl")


def test_unknown_component_input_and_output_at_once():
    found = faults(
        wires={
            "efect": {"c": "drug.central"},
            "effect": {"cc": "drug.central"},
            "pool": {"stimulus": "effect.efect"},
        }
    )
    text = "\n".join(found)
    assert 'Did you mean "effect"?' in text
    assert "effect.inputs.cc: must be an input of Emax" in text
    assert 'Did you mean "effect.effect"?' in text
    assert "effect.inputs.c: must be wired to a amount/volume" in text
    assert len(found) == 4


def test_cyclic_wires():
    parts = {"a": Amplifier(gain=1.0), "b": Amplifier(gain=2.0)}
    with pytest.raises(InputError, match=r'must not form a cycle without a state in it, but is "a -> b"'):
        wire(parts, {"a": {"x": "b.effect"}, "b": {"x": "a.effect"}})


def test_feedback_through_a_state_is_no_cycle():
    parts = PARTS | {"receptor": TargetMediated(kint=1.0, kss=2.0)}
    wires = WIRES | {
        "drug": {"clearance": "receptor.clearance"},
        "receptor": {"c": "drug.central", "r": "pool.level"},
    }
    assert wire(parts, wires, drugs=DRUGS).order.index("receptor") > 0


def test_wrong_dimension():
    found = faults(wires=WIRES | {"pool": {"stimulus": "drug.central"}})
    assert found == ['pool.inputs.stimulus: must be wired to a 1, but is "drug.central (amount/volume)".']


def test_outcome_inputs_are_checked_too():
    outcome = PerformanceStatus(b0=-1.0, b_effect=1.0, assessed=28.0)
    found = faults(outcomes={"better": outcome}, wires=WIRES | {"better": {"memory": "pool.excess"}})
    assert found == ['better.inputs.memory: must be wired to a time, but is "pool.excess (1)".']


def test_several_sources_add_up():
    parts = PARTS | {"more": Potentiation(pmax=1.0, ec50=1.0)}
    wires = WIRES | {
        "more": {"s": "effect.effect", "m": "drug.central"},
        "pool": {"stimulus": ["effect.effect", "more.effect"]},
    }
    model = wire(parts, wires, drugs=DRUGS)
    y = {"drug.po.depot": 0.0, "drug.central_amount": 30.0, "pool.level": 1.0}
    change = model.derivative(y, {"time": 0.0, "drug.since": 0.0})["pool.level"]
    assert float(jnp.asarray(change)) == pytest.approx(0.1 * (1.0 + 1.0 * (1 + 3 / 4)))


def response(**values):
    return WHOResponse(sigma=0.05, visits=(28.0, 56.0), confirmation=28.0, **values)


def test_a_limit_of_detection_needs_a_size():
    found = faults(outcomes={"regression": response(detection=10.0)}, wires=WIRES | {"regression": {}})
    assert "regression.inputs.size: must be wired to a length." in found


def test_two_outcomes_may_not_tell_the_same():
    wires = WIRES | {name: {"log_ratio": "effect.effect"} for name in ("first", "cr")}
    found = faults(outcomes={"first": response(), "cr": response()}, wires=wires)
    assert any(
        fault.startswith('first: must not share the name of what it records with "cr"') for fault in found
    )
    assert len(found) == 4  # pr, sd and pd besides
