"""What holds for doses of any linear drug, whatever its structure: to be exported is to be tested."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from pkpd.catalogue.structures import ABSORPTIONS, DISPOSITIONS
from pkpd.dosing import Records
from pkpd.model import Drug, Model, wire
from pkpd.observed import bind_records
from pkpd.parameters import Scalar, counts, declarations
from pkpd.pd import Accumulator
from pkpd.pk import (
    Bolus,
    FirstOrder,
    LymphTransit,
    OneCompartment,
    TargetBound,
    ThreeCompartment,
    TwoCompartment,
)
from pkpd.simulation import simulate
from pkpd.solve import ODE, ClosedForm, Multirate

Numbers = Mapping[str, Any]
Rows = list[dict[str, Any]]
Found = dict[str, dict[str, np.ndarray]]

TIMES = (0.4142, 1.1732, 2.9236, 6.0457)
FOREVER = 1e5
MANY = 100  # doses that make a steady state
PAIRS = [
    *((a, OneCompartment) for a in ABSORPTIONS.exported().values()),
    *((FirstOrder, d) for d in DISPOSITIONS.exported().values() if d not in (OneCompartment, TargetBound)),
]
SCHEDULE = {
    "first": (1.0, 9.0, "amount"),
    "second": (1.0, 9.0, "amount"),
    "gap": (0.1, 5.0, "time"),
    "ii": (2.0, 8.0, "time"),
    "lag": (0.1, 3.0, "time"),
    "dur": (0.1, 3.5, "time"),
}
BOUND = {
    "first": 1.0,
    "second": 1.0,
    "gap": 1.0,
    "ii": 1.0,
    "lag": 1.9,
    "dur": 1.9,
}  # an earlier dose is felt
UNITS = {"time": 24.0, "amount": 1e3, "volume": 0.5, "1": 1.0}  # how many other units one is


def needed(pair: tuple[type, type]) -> dict[str, str]:
    """The parameters of a pair and their dimensions."""
    own = {s: d.dimension for s, d in declarations(pair[0]).items() if d.default is None}
    return {**own, "bioav": "1"} | {s: d.dimension for s, d in declarations(pair[1]).items()}


def scale(dimension: str) -> float:
    """How many other units a unit of this dimension is."""
    above, *below = (np.prod([UNITS[word] for word in part.split("*")]) for part in dimension.split("/"))
    return float(above / np.prod(below))


class Exposure(Accumulator):
    """An integral that is as fast as what it integrates, and so part of the closed form."""

    scale = "fast"


def model_of(pair: tuple[type, type], n: Numbers, exposure: Accumulator | None = None) -> Model:
    """A drug by one structure without and with a lag, and into a vein; with its exposure where given."""
    absorption, disposition = pair
    own = {s: n[s] for s in declarations(absorption) if s in needed(pair)}
    own |= dict.fromkeys(counts(absorption), 1)
    late, whole = (
        absorption(**own, tlag=n["lag"]),
        disposition(**{s: n[s] for s in declarations(disposition)}),
    )
    parts = {"drug.po": absorption(**own), "drug.late": late, "drug.iv": Bolus(), "drug": whole}
    parts |= {"exposure": exposure} if exposure else {}
    wires = {"exposure": {"rate": "drug.central"}} if exposure else {}
    return wire(parts, wires, drugs=[Drug("drug", ("po", "late", "iv"))])


def paths_of(pair: tuple[type, type], n: Numbers) -> dict[str, Any]:
    """The numbers by the paths of the model's parameters."""
    absorbed = [s for s in declarations(pair[0]) if s in needed(pair)]
    found = {f"drug.{route}.{s}": n[s] for route in ("po", "late") for s in absorbed}
    return found | {f"drug.{s}": n[s] for s in declarations(pair[1])} | {"drug.late.tlag": n["lag"]}


def doses(n: Numbers) -> dict[str, Rows]:
    """What each individual is given. The laws compare individuals."""
    first = {"amt": n["first"], "cmt": "drug.po"}
    second = {"amt": n["second"], "cmt": "drug.iv", "dur": n["dur"]}
    found = {
        "first": [first],
        "second": [second | {"time": n["gap"]}],
        "both": [first, second | {"time": n["gap"]}],
        "parts": [first | {"amt": n["first"] * share} for share in (0.3, 0.7)],
        "shifted": [first | {"time": n["gap"]}],
        "lagged": [first | {"cmt": "drug.late"}],
        "delayed": [first | {"time": n["lag"]}],
        "reset": [first, {"time": n["gap"], "evid": 3}, second | {"time": n["gap"]}],
        "fresh": [second],
    }
    for name, dose in (("first", first), ("lagged", found["lagged"][0]), ("fresh", second)):
        found[f"steady {name}"] = [{**dose, "ii": n["ii"], "ss": 1}]
        found[f"long {name}"] = [{**dose, "ii": n["ii"], "addl": MANY}]
    return found


def rows(n: Numbers, only: tuple[str, ...], unit: float = 1.0) -> Rows:
    """Doses and looks, which begin after a shift, a reset or a long run; times of looks are in a `unit`."""
    begin = {"shifted": n["gap"], "reset": n["gap"]}
    begin |= {name: MANY * n["ii"] for name in only if name.startswith("long")}
    found = []
    for who in only:
        looks = [{"time": begin.get(who, 0.0) + t * unit, "evid": 0} for t in (*TIMES, FOREVER)]
        told = [
            {"time": 0.0, "evid": 2},
            *({"time": 0.0, "evid": 1, **dose} for dose in doses(n)[who]),
            *looks,
        ]
        found += [{**row, "id": who} for row in told]
    return found


class Laid:
    """All states and outputs of some individuals at the looks, by a program that is made once for a pair."""

    def __init__(
        self,
        pair: tuple[type, type],
        only: tuple[str, ...],
        exposure: Accumulator | None = None,
        **options: Any,
    ):
        told, self.only, self.names = rows(BOUND, only), only, [*needed(pair), "lag"]
        self.order = sorted(range(len(told)), key=lambda i: (only.index(told[i]["id"]), told[i]["time"]))
        self.seen = [told[i]["id"] if told[i]["evid"] == 0 else "" for i in self.order]
        dummy = model_of(pair, dict.fromkeys(self.names, 1.0) | {"lag": BOUND["lag"]}, exposure)
        trial = bind_records(dummy, Records.of([told[i] for i in self.order]), **options)

        def look(x: jax.Array, told: dict[str, jax.Array]) -> dict[str, jax.Array]:
            model = dummy.replace(paths_of(pair, dict(zip(self.names, x, strict=True))))
            moved = dataclasses.replace(trial, told=dataclasses.replace(trial.told, **told))
            return moved.outputs(model, [*model.states, *model.outputs])

        self.look, self.slope = jax.jit(look), jax.jit(lambda at, change: jax.jvp(look, at, change)[1])

    def arguments(self, n: Numbers, time: float = 1.0) -> tuple[jax.Array, dict[str, jax.Array]]:
        told = rows(n, self.only, time)
        columns = {key: [told[i].get(key, 0.0) for i in self.order] for key in ("time", "amt", "dur", "ii")}
        return jnp.array([n[name] for name in self.names]), {k: jnp.array(v) for k, v in columns.items()}

    def of(self, n: Numbers, time: float = 1.0) -> Found:
        """`found[individual][state or output]` at the looks, which are in another unit of `time`."""
        return self.by_individual(self.look(*self.arguments(n, time)))

    def by_individual(self, found: dict[str, jax.Array]) -> Found:
        seen = np.array(self.seen)
        return {who: {k: np.asarray(v)[seen == who] for k, v in found.items()} for who in self.only}


def told(pair: tuple[type, type]) -> Any:
    """A pair by its names; that of the most exponentials takes minutes."""
    marks = [pytest.mark.slow] if ThreeCompartment in pair else []
    return pytest.param(pair, id="-".join(part.__name__ for part in pair), marks=marks)


@pytest.fixture(scope="module", params=[told(pair) for pair in PAIRS])
def pair(request):
    return request.param


@pytest.fixture(scope="module")
def laid(pair):
    return Laid(pair, tuple(doses(BOUND)))


@pytest.fixture(scope="module")
def exposed(pair):
    return Laid(pair, ("first", "both"), exposure=Exposure())


@pytest.fixture(scope="module")
def stepped(pair):
    return Laid(pair, ("first", "both", "reset"), solver=ODE(rtol=1e-9, atol=1e-12))


@pytest.fixture(scope="module")
def sloped(pair):
    return Laid(pair, ("both", "lagged", "reset"))


def drawn(data: st.DataObject, pair: tuple[type, type]) -> dict[str, float]:
    """Parameters under which a hundred doses make a steady state, and what is given when."""
    shares = [s for s, d in declarations(pair[0]).items() if d.domain == "unit"]
    found = {name: data.draw(st.floats(0.5, 1.0 if name in shares else 2.0), name) for name in needed(pair)}
    return found | {k: data.draw(st.floats(low, high), k) for k, (low, high, _) in SCHEDULE.items()}


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], rtol: float = 1e-10) -> None:
    """All states and outputs, the smallest to the precision of the largest."""
    size = max(float(np.abs(v).max()) for v in expected.values())
    for name in expected:
        assert found[name] == pytest.approx(expected[name], rel=rtol, abs=rtol * size), name


def added(*found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.sum([one[name] for one in found], axis=0) for name in found[0]}


@given(data=st.data())
def test_laws_of_doses(pair, laid, data):
    found = laid.of(drawn(data, pair))
    same(found["both"], added(found["first"], found["second"]))
    same(found["parts"], found["first"])
    same(found["shifted"], found["first"])
    same(found["reset"], found["fresh"])
    for name in ("first", "lagged", "fresh"):
        same(found[f"steady {name}"], found[f"long {name}"], rtol=1e-6)
    late = {
        name.replace("drug.late", "drug.po"): v for name, v in found["lagged"].items() if "po" not in name
    }
    same(late, {name: found["delayed"][name] for name in late})


@given(data=st.data())
def test_balance_of_mass_and_exposure(pair, exposed, data):
    n = drawn(data, pair)
    found = exposed.of(n)
    given = {"first": n["bioav"] * n["first"], "both": n["bioav"] * n["first"] + n["second"]}
    for who, amount in given.items():
        states = {
            k: v
            for k, v in found[who].items()
            if k.startswith("drug.") and not k.endswith(("central", "rate"))
        }
        lasts = [n.get("duration", 0.0), n["gap"] + n["dur"] if who == "both" else 0.0]
        ended = np.array(TIMES) > max(lasts)
        total = added(*({"": v} for v in states.values()))[""] + n["cl"] * found[who]["exposure.total"]
        assert total[:-1][ended] == pytest.approx(amount, rel=1e-10)
        assert found[who]["exposure.total"][-1] == pytest.approx(amount / n["cl"], rel=1e-10)


@given(data=st.data())
def test_answers_do_not_depend_on_units(pair, laid, data):
    n = drawn(data, pair)
    dimensions = needed(pair) | {name: row[2] for name, row in SCHEDULE.items()}
    model = model_of(pair, n)
    other = {name: value * scale(dimensions[name]) for name, value in n.items()}
    found, expected = laid.of(other, scale("time")), laid.of(n)
    for who, values in expected.items():
        scaled = {k: v * scale(dimension_of(model, k)) for k, v in values.items()}
        same(found[who], scaled)


def dimension_of(model: Model, name: str) -> str:
    owner, _, port = name.rpartition(".")
    return model.components[owner].outputs.get(port, "amount")


def entered(matrix: np.ndarray, amounts: np.ndarray, lasts: Scalar | None) -> np.ndarray:
    """States at the looks after amounts that enter at once, or at a constant rate over a time."""
    if lasts is None:
        return np.array([scipy.linalg.expm(matrix * t) @ amounts for t in (*TIMES, FOREVER)])
    size = len(matrix)
    inflow = np.zeros((size + 1, size + 1))
    inflow[:size, :size], inflow[:size, size] = matrix, amounts / float(lasts)
    found = []
    for t in (*TIMES, FOREVER):
        ended = scipy.linalg.expm(inflow * min(t, float(lasts)))[:size, size]
        found.append(scipy.linalg.expm(matrix * max(t - float(lasts), 0.0)) @ ended)
    return np.array(found)


@given(data=st.data())
def test_closed_form_is_the_matrix_exponential_and_the_differential_equation(pair, laid, stepped, data):
    n = drawn(data, pair)
    model, found = model_of(pair, n), laid.of(n)
    states, clock = model.states, {"time": jnp.zeros(()), "drug.since": jnp.zeros(())}

    def rates(y: jax.Array) -> jax.Array:
        change = model.derivative(dict(zip(states, y, strict=True)), clock)
        return jnp.stack([jnp.asarray(change[s], float) for s in states])

    matrix = np.asarray(jax.jacfwd(rates)(jnp.zeros(len(states))))
    ways = [
        entered(matrix, n["first"] * float(entry.share) * (np.array(states) == entry.state), entry.lasts)
        for entry in model.entries("drug", "po")
    ]
    expected = np.sum(ways, axis=0)
    same({s: found["first"][s] for s in states}, dict(zip(states, expected.T, strict=True)), rtol=1e-11)
    for who, values in stepped.of(n).items():
        same(values, found[who], rtol=1e-7)


@given(data=st.data())
def test_gradient_is_that_of_differences(pair, sloped, data):
    n = drawn(data, pair)
    sizes = st.floats(0.2, 1.0) | st.floats(-1.0, -0.2)
    change = {name: data.draw(sizes, f"change of {name}") for name in n}
    step = 1e-4

    def at(share: float) -> tuple[jax.Array, dict[str, jax.Array]]:
        return sloped.arguments({name: v + share * step * change[name] for name, v in n.items()})

    moved = jax.tree.map(lambda high, low: (high - low) / (2.0 * step), at(1.0), at(-1.0))
    slope = sloped.by_individual(sloped.slope(at(0.0), moved))

    def quotient(share: float) -> dict[str, jax.Array]:
        high, low = sloped.look(*at(share)), sloped.look(*at(-share))
        return {k: (high[k] - low[k]) / (2.0 * share * step) for k in high}

    wide, near = quotient(1.0), quotient(0.5)
    better = sloped.by_individual(jax.tree.map(lambda a, b: (4.0 * b - a) / 3.0, wide, near))
    for who in slope:
        same(slope[who], better[who], rtol=1e-6)


@pytest.mark.parametrize("pair", [(LymphTransit, OneCompartment), (FirstOrder, TwoCompartment)])
def test_multirate_is_within_its_own_bound(pair):
    numbers = dict.fromkeys(needed(pair), 0.7) | {"lag": 0.3}
    model, other = (model_of(pair, numbers, exposure) for exposure in (Accumulator(), Exposure()))
    regimen = "drug 5 pmol po q24h x14 + drug 3 pmol late q12h for 10 d on days 1-5 of 7"
    times = np.linspace(0.1, 21.0, 40).tolist()
    found = simulate(model, regimen, times=times, solver=Multirate(), error=True)
    exact = simulate(other, regimen, times=times, solver=ClosedForm())
    for name, value in exact.outputs.items():
        size = np.maximum(np.abs(value), 1e-3 * np.abs(value).max())
        gap = np.max(np.abs(np.asarray(found.outputs[name]) - value) / size)
        assert gap <= float(found.error[name].max()) + 1e-10, name
