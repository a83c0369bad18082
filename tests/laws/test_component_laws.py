"""What holds for every component, whatever it is: to be exported is to be tested."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkpd.catalogue.structures import COMPONENTS
from pkpd.component import Component
from pkpd.parameters import declarations
from pkpd.pk import AbstractAbsorption

CLASSES = list(COMPONENTS.exported().values())
UNITS = {"time": 24.0, "amount": 1e3, "volume": 0.5, "length": 10.0, "1": 1.0}  # how many other units one is
OPEN = {"Simeoni.lambda1": "length/time", "Accumulator.total": "length*time"}  # where `*` is not a length
ROOTS = ("Power",)  # have no slope at zero
STEPS, SPAN = 8, 0.3
ONE = {"amount": 1.0, "time": 1.0}

Numbers = Mapping[str, Any]


def dimensions(cls: type[Component]) -> dict[str, str]:
    """Of the parameters that must be finite, and of the inputs, by name."""
    own = {s: d.dimension for s, d in declarations(cls).items() if d.default != math.inf}
    return own | {f"in {port}": spec.dimension for port, spec in cls.inputs.items()}


def scale(cls: type, name: str, dimension: str) -> float:
    """How many other units a unit is."""
    told = OPEN.get(f"{cls.__name__}.{name}", "length") if dimension == "*" else dimension
    above, *below = (np.prod([UNITS[word] for word in part.split("*")]) for part in told.split("/"))
    return float(above / np.prod(below))


def drawn(data: st.DataObject, cls: type[Component]) -> dict[str, float]:
    domains = {s: d.domain for s, d in declarations(cls).items()}
    high = {name: 0.8 if domains.get(name) == "unit" else 2.0 for name in dimensions(cls)}
    return {name: data.draw(st.floats(0.3, top), name) for name, top in high.items()}


def made(cls: type[Component], n: Numbers) -> tuple[Component, dict[str, Any]]:
    part = cls(**{name: v for name, v in n.items() if not name.startswith("in ")})
    return part, {port: n[f"in {port}"] for port in cls.inputs}


def begun(part: Component, amount: float) -> dict[str, Any]:
    """States before any dose; a route has got some."""
    given = amount if isinstance(part, AbstractAbsorption) else 0.0
    return {s: v + given for s, v in part.initial().items()}


def told(cls: type[Component], n: Numbers, unit: Numbers) -> dict[str, Any]:
    """Outputs at the start and after a while of constant inputs, and what a route says of doses."""
    part, inputs = made(cls, n)
    direct = {port: inputs[port] for port in cls.direct}
    y, step = begun(part, unit["amount"]), SPAN / STEPS * unit["time"]

    def stepped(_: int, y: dict[str, Any]) -> dict[str, Any]:
        a = part.derivative(y, inputs)
        b = part.derivative({s: v + step / 2 * a[s] for s, v in y.items()}, inputs)
        return {s: v + step * b[s] for s, v in y.items()}

    found = {f"{o} first": v for o, v in part.output(y, direct).items()}
    if part.states:
        shape = jnp.broadcast_shapes(*(jnp.shape(v) for v in n.values()))
        y = jax.tree.map(lambda v: jnp.broadcast_to(jnp.asarray(v, float), shape), y)
        y = jax.lax.fori_loop(0, STEPS, stepped, y)
    found |= {f"{o} last": v for o, v in part.output(y, direct).items()}
    if isinstance(part, AbstractAbsorption):
        for k, inlet in enumerate(part.inlets()):
            lasts = 0.0 if inlet.lasts is None else inlet.lasts
            found |= {f"share {k}": inlet.share, f"lag {k}": inlet.lag, f"lasts {k}": lasts}
    return {name: jnp.asarray(v, float) for name, v in found.items()}


@pytest.fixture(scope="module", params=CLASSES, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


@pytest.fixture(scope="module")
def look(cls):
    return jax.jit(lambda n, unit: told(cls, n, unit))


@pytest.fixture(scope="module")
def slopes(cls):
    return jax.jit(jax.jacfwd(lambda n: told(cls, n, ONE)))


def test_names_are_those_that_are_declared(cls):
    part, inputs = made(cls, dict.fromkeys(dimensions(cls), 0.5))
    y = begun(part, 1.0)
    assert set(y) == set(part.states) == set(part.derivative(y, inputs))
    assert set(part.output(y, {port: inputs[port] for port in cls.direct})) == set(cls.outputs)
    assert set(cls.inputs) >= {*cls.direct, *cls.linear}


@given(data=st.data())
def test_outputs_do_not_depend_on_units(cls, look, data):
    n = drawn(data, cls)
    other = {name: v * scale(cls, name, dimensions(cls)[name]) for name, v in n.items()}
    found, expected = look(other, {key: UNITS[key] for key in ONE}), look(n, ONE)
    kinds = {"share": "1", "lag": "time", "lasts": "time"} | dict(cls.outputs)
    for name, value in expected.items():
        word = name.split()[0]
        size = scale(cls, word, kinds[word])
        assert float(found[name]) == pytest.approx(float(value) * size, rel=1e-9, abs=1e-12 * size), name


@given(data=st.data())
def test_gradients_are_those_of_differences(cls, look, slopes, data):
    n = drawn(data, cls)
    slope = slopes({name: jnp.asarray(v) for name, v in n.items()})
    for name in n:
        step = 1e-4 * n[name]

        def quotient(share: float, name: str = name, step: float = step) -> dict[str, Any]:
            high, low = (look(n | {name: n[name] + side * share * step}, ONE) for side in (1.0, -1.0))
            return {k: (high[k] - low[k]) / (2.0 * share * step) for k in high}

        wide, near = quotient(1.0), quotient(0.5)
        for k, v in slope.items():
            better = (4.0 * near[k] - wide[k]) / 3.0
            assert float(v[name]) == pytest.approx(float(better), rel=1e-6, abs=1e-7), (name, k)


def test_gradients_are_finite_without_inputs_and_at_the_ends_of_domains(cls, slopes):
    own = {s: d for s, d in declarations(cls).items() if s in dimensions(cls)}
    lowest = {s: 0.5 if d.domain in ("positive", "real") else 0.0 for s, d in own.items()}
    highest = {s: 1.0 if d.domain == "unit" else 0.5 for s, d in own.items()}
    for ends in (lowest, highest):
        none = 0.5 if cls.__name__ in ROOTS else 0.0
        at = ends | {name: none for name in dimensions(cls) if name.startswith("in ")}
        for k, by in slopes({name: jnp.asarray(v) for name, v in at.items()}).items():
            assert all(np.isfinite(v) for v in by.values()), (k, at)


def test_every_parameter_and_every_input_acts(cls, slopes):
    names, idle = list(dimensions(cls)), set(dimensions(cls))
    for shift in (0.0, 0.1, 0.2):
        n = {name: jnp.asarray(0.31 + shift * (k % 3) + 0.4 * k / len(names)) for k, name in enumerate(names)}
        found = slopes(n)
        idle -= {name for name in names if any(by[name] != 0.0 for by in found.values())}
    if issubclass(cls, AbstractAbsorption):
        idle -= {"duration"}  # acts where a record leaves it to the model
    assert not idle


@given(data=st.data())
def test_the_derivative_is_affine_in_the_inputs_that_are_declared_so(cls, data):
    n = drawn(data, cls)
    part, inputs = made(cls, n)
    y = begun(part, 1.0)
    for port in cls.linear:
        low, middle, high = (part.derivative(y, inputs | {port: v}) for v in (0.2, 0.7, 1.2))
        for s in part.states:
            assert float(2.0 * middle[s]) == pytest.approx(float(low[s] + high[s]), rel=1e-9, abs=1e-12), (
                port,
                s,
            )


def test_patients_are_columns(cls, look):
    names = list(dimensions(cls))
    n = {name: np.linspace(0.3, 0.7, 3) + 0.02 * k for k, name in enumerate(names)}
    found = jax.tree.map(
        lambda v: np.broadcast_to(v, 3), told(cls, {k: jnp.asarray(v) for k, v in n.items()}, ONE)
    )
    for i in range(3):
        for name, value in look({k: v[i] for k, v in n.items()}, ONE).items():
            assert found[name][i] == pytest.approx(float(value), rel=1e-12, abs=1e-14), name
