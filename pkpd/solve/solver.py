"""What a solver is: an object that the caller chooses."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from pkpd.checks import InputError, fail
from pkpd.dosing import events as dosing
from pkpd.dosing.events import Events, Jumps
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.quadrature import STAGES, nodes_of
from pkpd.solve.cascade import Cascade
from pkpd.solve.timeline import Timeline


class Along(NamedTuple):
    """States along a course that is cut into cells: `at` their edges [edges, patients], and `inside` those
    that are known at the nodes of the cells too [cells, nodes, patients]."""

    edges: np.ndarray
    at: dict[str, Array]
    inside: dict[str, Array]


class Repeated(NamedTuple):
    """A dose of an `amount`, or of a `rate` for a `duration`, given every `interval` and felt after a `lag`;
    at most `earlier` of those before the last are still to be felt, or still running, when it is given.
    Where it is `endless` its rate has never stopped."""

    interval: Array
    lag: Array
    amount: Array
    rate: Array
    duration: Array
    earlier: int
    endless: Array | None = None


class AbstractSolver(eqx.Module):
    """Turns doses into states at wanted times; faster, if `by_plan`, where those of doses are not traced.

    With `own_times` it has a `path` at times of each patient's own.
    """

    by_plan: ClassVar[bool] = False
    own_times: ClassVar[bool] = False

    def check(self, patients: Patients) -> None:
        """Raises `InputError` where the solver does not apply to these patients."""

    def states(self, model: Model, events: Events, times: Sequence[float], patients: int) -> dict[str, Array]:
        """State paths -> [times, patients], for an individualised model.

        `times` are concrete, in the model's unit, in any order and not before 0. A state that
        jumps at a wanted time has the value before the jump. Raises `InputError` where the
        solver does not apply to the model, naming what is missing.
        """
        raise NotImplementedError

    def path(
        self, model: Model, timeline: Timeline, since: dict[str, Array], start: Array
    ) -> dict[str, Array]:
        """State paths -> [times, patients] at each patient's own times of a timeline.

        Parameters of the model are those of all, of patients [patients] or of the time between two breaks
        [breaks - 1, patients]. `start` is what the clock shows at the first break, `since` when it showed the
        first dose of each drug. Raises `InputError` where the solver has no such path.
        """
        raise self._lacks("a timeline of its own for each patient")

    def flow(self, model: Model) -> Cascade | None:
        """How states go on from any values, where the solver knows it exactly.

        Raises `InputError` where the solver does not apply to the model.
        """
        return None

    def settle(self, model: Model, state: str, dose: Repeated) -> dict[str, Array]:
        """By how much a dose that has been repeated for ever has moved the states, just before the last one.

        Raises `InputError` where the solver finds no steady state.
        """
        raise self._lacks("a steady state")

    def _lacks(self, what: str) -> InputError:
        return fail("solver", f"must not be {type(self).__name__}, which has no way to find {what}")

    def finer(self) -> "AbstractSolver | None":
        """The same solver with a smaller error, so that the difference tells its own; None if it has none."""
        return None

    def along(self, model: Model, events: Events, times: Sequence[float], patients: int) -> Along:
        """States along a course; its cells have edges at the `times`, from the first to the last."""
        edges = np.unique(np.asarray(times, float))
        wanted = np.concatenate([edges, nodes_of(edges).ravel()])
        found = self.states(model, events, wanted.tolist(), patients)
        shape, count = (len(edges) - 1, STAGES, patients), len(edges)
        inside = {s: v[count:].reshape(shape) for s, v in found.items()}
        return Along(edges, {s: v[:count] for s, v in found.items()}, inside)


def jumps_of(model: Model, events: Events, patients: int) -> Jumps:
    """What the events do to each patient of an individualised model."""
    entries = {route: model.entries(*route) for route in sorted(set(events.route))}
    return dosing.jumps_of(events, entries, patients)


def start_states(model: Model, patients: int) -> dict[str, Array]:
    """States before any dose [patients]."""
    return {s: jnp.broadcast_to(jnp.asarray(v, float), (patients,)) for s, v in model.initial().items()}


def start_times(times: Sequence[float]) -> tuple[list[float], np.ndarray]:
    """Unique ascending times with the start in front, and where each wanted time stands in them."""
    unique, back = np.unique(np.concatenate([[0.0], np.asarray(times, float)]), return_inverse=True)
    return unique.tolist(), back[1:]


def first_dose(model: Model, jumps: Jumps) -> dict[str, Array]:
    """Time of each drug's first dose [patients]; infinite where there is none."""
    given = jumps.time if jumps.absent is None else jnp.where(jumps.absent, jnp.inf, jumps.time)
    found = {}
    for drug in model.drugs:
        mine = [i for i, state in enumerate(jumps.state) if state.startswith(f"{drug.name}.")]
        found[drug.name] = earliest(given[np.array(mine)]) if mine else jnp.full(given.shape[1:], jnp.inf)
    return found


def earliest(times: Array) -> Array:
    """The smallest along the first axis, by comparisons of pairs: a reduction finds its place by equality,
    which rounding can break after a compiler has computed a value twice, and then its gradient is 0/0."""
    while len(times) > 1:
        half = len(times) // 2
        first, second, odd = times[:half], times[half : 2 * half], times[2 * half :]
        times = jnp.concatenate([jnp.where(second < first, second, first), odd])
    return times[0]


def clock(time: Array, first: dict[str, Array]) -> dict[str, Array]:
    """The signals that every model has: the time, and the time since each drug's first dose."""
    return {"time": time} | {f"{drug}.since": jnp.maximum(time - t, 0.0) for drug, t in first.items()}
