"""Published facts against a model: what its typical patient shows under the regimen of each fact."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float
from scipy.integrate import OdeSolution, solve_ivp

from pkpd.card import QUANTITIES, Card, Fact
from pkpd.checks import fail
from pkpd.devices import float64
from pkpd.dosing import Regimen
from pkpd.model import Model
from pkpd.pk import exposure
from pkpd.simulation import bind
from pkpd.solve.solver import clock, first_dose, jumps_of

_SAMPLES = 4096  # of a fact's window
_LEAST = 16  # of each piece of it
_GRADE = 3.0  # samples after an event are `e^3` times as close as those before the next
_RTOL = 1e-9
_ATOL = 1e-10  # of the smallest dose, at most of one unit of amount
_SAME = 9  # events that agree to so many decimals are at one time


@dataclass(frozen=True)
class FactResult:
    """A fact and what the model says of it; `value` is in the unit of the fact."""

    fact: Fact
    value: float

    @property
    def inside(self) -> bool:
        """Whether the value lies in the published range."""
        return self.fact.low <= self.value <= self.fact.high

    @property
    def ratio(self) -> float:
        """Value over published value."""
        return self.value / self.fact.value if self.fact.value else float("inf")

    def as_dict(self) -> dict[str, object]:
        """The fact and the result in plain JSON."""
        kept = (
            "regimen",
            "quantity",
            "output",
            "unit",
            "low",
            "high",
            "kind",
            "source",
            "at",
            "spread",
            "why",
        )
        told = {name: getattr(self.fact, name) for name in kept}
        found = {
            "published": self.fact.value,
            "value": self.value,
            "ratio": self.ratio,
            "inside": self.inside,
        }
        return told | found


@dataclass(frozen=True)
class Course:
    """The states of a patient as smooth pieces between events; `first` is each drug's first dose."""

    pieces: tuple[tuple[float, float, OdeSolution], ...]
    first: Float[np.ndarray, " drugs"]

    def sample(
        self, start: float, until: float, even: bool = False
    ) -> tuple[Float[np.ndarray, " times"], Float[np.ndarray, "states times"]]:
        """Times and states of a window, closest after each event unless `even`.

        An event at the start has happened and one at the end has not; one within has its time twice,
        before and after it.
        """
        found = [(max(b, start), min(e, until), y) for b, e, y in self.pieces if b < until and e > start]
        each, rest = divmod(max(_SAMPLES, _LEAST * len(found)), len(found))
        counts = [each] * (len(found) - 1) + [each + rest]
        times = [_spread(b, e, n, even) for (b, e, _), n in zip(found, counts, strict=True)]
        states = [y(t) for (_, _, y), t in zip(found, times, strict=True)]
        return np.concatenate(times), np.concatenate(states, axis=1)


class Typical:
    """The typical patient of a model, with a right-hand side that is compiled once."""

    def __init__(self, model: Model):
        self._model = model
        flat, unravel = ravel_pytree(model)
        self._parameters = np.asarray(flat, float)
        self._rates, self._measure = _compile(model, unravel)

    def course(self, regimen: Regimen | str, until: float) -> Course:
        """Integrates from event to event (LSODA, relative tolerance 1e-9); `until` is in model time.

        Raises `InputError` where the regimen does not fit the model or the equations have no solution.
        """
        jumps = jumps_of(self._model, bind(self._model, regimen), 1)
        at, amount, rate = (np.asarray(v, float)[:, 0] for v in (jumps.time, jumps.amount, jumps.rate))
        at = np.round(at, _SAME)
        state = np.array([self._model.states.index(s) for s in jumps.state], int)
        first = np.array([float(t[0]) for t in first_dose(self._model, jumps).values()])
        initial = self._model.initial()
        y = np.array([float(initial[s]) for s in self._model.states])
        inflow = np.zeros(len(y))
        atol = _ATOL * np.min(amount, where=amount > 0.0, initial=1.0)
        pieces = []
        for begin, end in pairwise(np.unique([0.0, *at[at < until], until])):
            now = at == begin
            np.add.at(y, state[now], amount[now])
            np.add.at(inflow, state[now], rate[now])
            solution = self._between(begin, end, y, inflow, first, atol)
            if not solution.success:
                raise fail("regimen", "must have a solution", str(regimen), str(solution.message))
            pieces.append((float(begin), float(end), solution.sol))
            y = solution.y[:, -1].copy()
        return Course(tuple(pieces), first)

    def measure(self, course: Course, fact: Fact) -> float:
        """A fact's quantity of its output over its window, in the fact's unit."""
        times, states = course.sample(fact.start, fact.until, even=fact.quantity == "thalf")
        found = self._measure(self._parameters, times, states, course.first, fact.output, fact.quantity)
        since = fact.start if fact.quantity in ("tmax", "tmin") else 0.0
        return (float(found) - since) / fact.factor

    def _between(
        self, begin: float, end: float, y: np.ndarray, inflow: np.ndarray, first: np.ndarray, atol: float
    ) -> Any:
        def right(t: float, y: np.ndarray) -> np.ndarray:
            return np.asarray(self._rates(self._parameters, t, y, inflow, first))

        return solve_ivp(right, (begin, end), y, "LSODA", dense_output=True, rtol=_RTOL, atol=atol)


def evaluate(model: Model, card: Card) -> list[FactResult]:
    """Every fact of a card, those that the model should reproduce and those that it misses.

    `card` is the model's own or that of a drug in it (`card.drugs[name]`), of which the model may
    use other numbers. The time of a peak counts from the start of the fact's window.
    """
    facts = (*card.reproduces, *card.misses)
    until = {fact.regimen: 0.0 for fact in facts}
    for fact in facts:
        until[fact.regimen] = max(until[fact.regimen], fact.until)
    with float64():
        patient = Typical(model)
        courses = {regimen: patient.course(regimen, end) for regimen, end in until.items()}
        return [FactResult(fact, patient.measure(courses[fact.regimen], fact)) for fact in facts]


def _compile(
    model: Model, unravel: Callable[[Array], Model]
) -> tuple[Callable[..., Array], Callable[..., Array]]:
    """The right-hand side of the flat states, and quantities of outputs along sampled states."""
    states, drugs = model.states, [drug.name for drug in model.drugs]

    @jax.jit
    def rates(parameters: Array, t: Array, y: Array, inflow: Array, first: Array) -> Array:
        since = dict(zip(drugs, first, strict=True))
        change = unravel(parameters).derivative(dict(zip(states, y, strict=True)), clock(t, since))
        return jnp.stack([jnp.asarray(change[s]) for s in states]) + inflow

    @partial(jax.jit, static_argnums=(4, 5))
    def measure(parameters: Array, times: Array, y: Array, first: Array, output: str, quantity: str) -> Array:
        since = dict(zip(drugs, first, strict=True))
        signals = unravel(parameters).signals(dict(zip(states, y, strict=True)), clock(times, since))
        return _METRICS[quantity](times, jnp.broadcast_to(signals[output], times.shape))

    return rates, measure


_METRICS = {name: getattr(exposure, name) for name in QUANTITIES}


def _spread(begin: float, end: float, count: int, even: bool) -> Float[np.ndarray, " times"]:
    """Times from `begin` to `end`, both included."""
    share = np.linspace(0.0, 1.0, count)
    share = share if even else np.expm1(_GRADE * share) / np.expm1(_GRADE)
    return begin + (end - begin) * share
