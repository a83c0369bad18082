"""Exact flows against 50-digit matrix exponentials: small amounts too, and rates that (nearly) coincide."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

from pkpd.component import Component
from pkpd.model import Drug, Model, wire
from pkpd.pk import Bolus, FirstOrder, LymphTransit, OneCompartment, ThreeCompartment, TwoCompartment
from pkpd.solve.cascade import Cascade
from pkpd.solve.divided import divided_difference
from pkpd.solve.structure import structure
from tests.references.matrix_exponential import Change, exponential, rate_matrix, states

CASES = 56
RTOL = 1e-12
TINY = 1e-300  # what double precision may lose where it underflows
STRUCTURES = (Bolus, FirstOrder, LymphTransit), (OneCompartment, TwoCompartment, ThreeCompartment)
Numbers = Mapping[str, Any]


def model_of(numbers: Numbers) -> Model:
    """The model with these parameters, whose names tell the structure."""
    absorbed = {k: numbers[k] for k in ("ka", "ktr") if k in numbers}
    rest = {k: v for k, v in numbers.items() if k not in absorbed}
    absorption, disposition = STRUCTURES[0][len(absorbed)], STRUCTURES[1][len(rest) // 2 - 1]
    return wire({"x.po": absorption(**absorbed), "x": disposition(**rest)}, {}, drugs=[Drug("x", ("po",))])


def spread(rng: np.random.Generator, low: float = -3.0, high: float = 2.0) -> np.ndarray:
    """Numbers of any size between two powers of ten, many of them near one of the ends."""
    return 10.0 ** (low + (high - low) * rng.beta(0.5, 0.5, CASES))


def near(rng: np.random.Generator, others: np.ndarray, share: float) -> np.ndarray:
    """Rates of which a share equals others, within 1e-15 to 0.1 or exactly."""
    apart = spread(rng, -15.0, -1.0) * rng.choice([-1.0, 0.0, 1.0], CASES, p=[0.4, 0.2, 0.4])
    return np.where(rng.random(CASES) < share, others * (1.0 + apart), spread(rng))


def draw(rng: np.random.Generator, peripherals: int, depots: int) -> Numbers:
    """Parameters [cases] with rates over five decades, many of them near each other or near a loss rate."""
    volume, elimination = spread(rng, -1.0, 2.0), spread(rng)
    found = {"cl": elimination * volume, "vc" if peripherals else "v": volume}
    back = near(rng, elimination, 0.2)
    for k in ("", "2")[:peripherals]:
        found[f"q{k}"] = spread(rng) * volume
        found[f"vp{k}"], back = found[f"q{k}"] / back, near(rng, back, 0.5)
    alike = rng.random(CASES) < 0.2
    found |= {f"{k}2": np.where(alike, found[k], found[f"{k}2"]) for k in ("q", "vp") if f"{k}2" in found}
    losses = -np.linalg.eigvals(np.moveaxis(np.array(rate_matrix(found)), 2, 0)).real
    for k in ("ka", "ktr")[:depots]:
        found[k] = near(rng, rng.permuted(losses, axis=1)[:, 0], 0.6)
        losses[:, 0] = found[k]
    return found


def flow(numbers: Numbers, given: Numbers, lasting: jax.Array, after: jax.Array) -> list[jax.Array]:
    """States some time after boluses or, where they last, infusions of rates."""
    cascade = Cascade(model := model_of(numbers), structure(model).cascade)
    bolus = {s: jnp.where(lasting > 0.0, 0.0, v) for s, v in given.items()}
    infusion = {s: jnp.where(lasting > 0.0, v, 0.0) for s, v in given.items()}
    later = cascade.flow(cascade.flow(bolus, lasting, infusion), after, {})
    return [jnp.broadcast_to(later[s], after.shape) for s in model.states]


def exact(numbers: Numbers, entry: int, lasting: Any, after: Any) -> list[Any]:
    """The same after one dose of 1, in 50 digits."""
    with mp.workdps(50):
        matrix = rate_matrix({k: mp.mpf(v) for k, v in numbers.items()})
        infusion = [Change(0, entry, rate=1), Change(mp.mpf(lasting), entry, rate=-1)]
        doses = infusion if lasting else [Change(0, entry, amount=1)]
        return states(matrix, doses, [mp.mpf(lasting) + after])[0]


@pytest.mark.parametrize("depots", [0, 1, 2])
@pytest.mark.parametrize("peripherals", [0, 1, 2])
def test_every_digit_of_a_flow(peripherals: int, depots: int) -> None:
    rng = np.random.default_rng([peripherals, depots])
    numbers = draw(rng, peripherals, depots)
    entry, after = rng.integers(1 + peripherals + depots, size=CASES), spread(rng, -3.0, 3.0)
    lasting = np.where(rng.random(CASES) < 0.5, spread(rng, -3.0, 3.0), 0.0)
    given = {s: 1.0 * (entry == i) for i, s in enumerate(model_of(dict.fromkeys(numbers, 1.0)).states)}
    found = np.array(jax.jit(flow)(numbers, given, lasting, after))
    for i in range(CASES):
        case = {k: v[i] for k, v in numbers.items()}, int(entry[i]), lasting[i], after[i]
        expected = np.array(exact(*case), float)
        assert np.all(np.abs(found[:, i] - expected) <= RTOL * expected + TINY), case


def test_derivatives_where_rates_coincide() -> None:
    """By the logarithm of each parameter, relative to the value, against differences in 50 digits."""
    twins = {"cl": 2.0, "vc": 2.0, "q": 1.0, "vp": 4.0, "q2": 3.0, "vp2": 12.0, "ka": 1.25}
    cases = [twins, twins | {"ka": 0.25}, twins | {"vp2": 12.0 + 1e-8}, twins | {"q2": 1.0, "vp2": 4.0}]
    apart = {"cl": 0.7, "vc": 3.0, "q": 1.1, "vp": 5.0, "q2": 0.02, "vp2": 1.0, "ka": 0.9}
    losses = -np.linalg.eigvals(np.array(rate_matrix(apart))[1:, 1:]).real
    slow = {"cl": 0.79, "vc": 1.0, "q": 3.517e-4, "vp": 1.536, "q2": 307.4, "vp2": 3636.0, "ka": 3.0}
    cases += [apart, slow, *(apart | {"ka": loss} for loss in losses.tolist())]  # a slow search for a rate
    one = jnp.ones(len(cases))

    def total(numbers: Numbers) -> jax.Array:
        return jnp.stack(flow(numbers, {"x.po.depot": one}, one, one)[1:3]).sum()

    slopes = jax.jit(jax.grad(total))({k: jnp.array([case[k] for case in cases]) for k in twins})
    for i, case in enumerate(cases):
        for name, value in case.items():
            with mp.workdps(50):
                moved = [case | {name: value * (1 + mp.mpf(step))} for step in (-1e-15, 1e-15)]
                low, high = (sum(exact(numbers, 0, 1, 1)[1:3]) for numbers in moved)
                expected, size = float((high - low) / 2e-15), float(high)
            assert abs(slopes[name][i] * value - expected) <= RTOL * size, (case, name)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
def test_divided_differences_of_clusters(count: int) -> None:
    rng = np.random.default_rng(count)
    rates = [spread(rng)]
    for _ in range(1, count):
        rates.append(near(rng, rng.permuted(rates)[0], 0.8))
    switching = spread(rng, -0.5, 0.5) / np.maximum(np.ptp(rates, axis=0), 1e-3)
    time = np.where(rng.random(CASES) < 0.5, switching, spread(rng, -3.0, 3.0))
    found = np.asarray(jax.jit(divided_difference)(tuple(map(jnp.asarray, rates)), jnp.asarray(time)))
    for i in range(CASES):
        with mp.workdps(50):
            chain = mp.diag([-mp.mpf(rate[i]) for rate in rates])
            for k in range(1, count):
                chain[k, k - 1] = 1
            expected = float(exponential(chain, mp.mpf(time[i]))[count - 1, 0])
        assert abs(found[i] - expected) <= RTOL * expected + TINY, ([rate[i] for rate in rates], time[i])


class Whirls(Component):
    """Three amounts that go round, and two states that oscillate."""

    states = ("a", "b", "c", "d", "e")
    scale = "fast"

    def derivative(self, x: Any, u: Any) -> dict[str, Any]:
        turning = {"a": x["c"] - x["a"], "b": x["a"] - x["b"], "c": x["b"] - x["c"]}
        return turning | {"d": -x["d"] - x["e"], "e": x["d"] - x["e"]}


def test_rates_that_may_be_complex_have_no_closed_form() -> None:
    model = wire({"x": Whirls(), "y": OneCompartment(cl=1.0, v=1.0)}, {})
    assert [block.states for block in structure(model).cascade] == [("y.central_amount",)]
