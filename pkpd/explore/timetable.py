"""The doses of a point's timetable as a function of its amounts, and what limits on amounts say of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pkpd.dosing.events import Events
from pkpd.explore.limits import Limit
from pkpd.explore.quantities import counted, windows
from pkpd.explore.space import Point, Space
from pkpd.model import Model
from pkpd.simulation import bind


@dataclass(frozen=True)
class Timetable:
    """Doses with amounts `matrix z + rest` in the model's units, `z` the amounts that vary."""

    events: Events
    matrix: Float[np.ndarray, "doses free"]
    rest: Float[np.ndarray, " doses"]

    def amounts(self, z: Float[np.ndarray, " free"]) -> Float[np.ndarray, " doses"]:
        """The amount of each dose."""
        return self.matrix @ z + self.rest

    def at(self, z: Float[np.ndarray, " free"]) -> Events:
        """The doses, those of 0 among them."""
        return replace(self.events, amount=jnp.asarray(self.amounts(z)))


def timetable_of(model: Model, space: Space, point: Point) -> Timetable:
    """The timetable of a point; raises `InputError` where it makes no regimen."""
    events = bind(model, space.regimen(np.where(space.free, space.high, point)))
    free = np.flatnonzero(space.free)
    drugs = np.array([drug for drug, _ in events.route], object)
    matrix, owners, seen = np.zeros((len(events), len(free))), space.owners, dict[str, int]()
    for column, dim in enumerate(free):
        owner = owners[dim]
        doses = np.flatnonzero(drugs == owner.drug)
        if owner.field == "amounts":
            number = seen[owner.drug] = seen.get(owner.drug, -1) + 1
            doses = doses[np.arange(len(doses)) % owners.count(owner) == number]
        matrix[doses, column] = space.shares[dim]
    rest = np.where(matrix.any(axis=1), 0.0, np.asarray(events.amount))
    return Timetable(events, matrix, rest)


class Allowance:
    """How amounts of a timetable keep to the limits on amounts and counts."""

    def __init__(self, model: Model, timetable: Timetable, limits: Sequence[Limit]):
        self._model, self._timetable = model, timetable
        self._sums = [
            (limit, windows(model, limit.quantity, timetable.events) / limit.quantity.factor)
            for limit in limits
            if limit.quantity.kind == "amount"
        ]
        self._counts = [limit for limit in limits if limit.quantity.kind == "count"]

    def slack(self, z: Float[np.ndarray, " free"]) -> float:
        """The least slack, relative to each limit."""
        amounts, table = self._timetable.amounts(z), self._timetable
        found = [limit.slack(float((rows @ amounts).max(initial=0.0))) for limit, rows in self._sums]
        for limit in self._counts:
            value = counted(self._model, limit.quantity, table.events, amounts > 0.0)
            found.append(limit.slack(value / limit.quantity.factor))
        return min(found, default=np.inf)

    def share(self, low: Float[np.ndarray, " free"], high: Float[np.ndarray, " free"]) -> float:
        """How far one can go from `low` to `high` within the limits from above on amounts, at most 1."""
        found = 1.0
        begin, end = self._timetable.amounts(low), self._timetable.amounts(high)
        for limit, rows in self._sums:
            if limit.sign == "<=":
                have, more = rows @ begin, rows @ (end - begin)
                room = np.where(more > 0.0, (limit.value - have) / np.where(more > 0.0, more, 1.0), np.inf)
                found = min(found, float(room.min(initial=np.inf)))
        return found
