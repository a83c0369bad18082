"""What the mode owes to each study, each arm and each prior: the alternatives to which a problem is refitted.

A study or an arm is left out by the weight zero; a prior is centred one of its standard deviations higher or
lower, on the scale on which it is normal.

References: Cook RD. Technometrics 1977;19:15-18, doi 10.1080/00401706.1977.10489493.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from pkpd.infer.emulator import Emulator
from pkpd.infer.items import Item, own_item, weights_of
from pkpd.infer.mode import Mode
from pkpd.infer.problem import Problem
from pkpd.infer.refit import Around, Refit, refitter

WITHOUT = "without "  # what stands before the name of what is left out
WAYS = {"higher": 1.0, "lower": -1.0}  # where a prior may be centred


def alternatives(problem: Problem) -> tuple[list[str], Item]:
    """All of them in words, and as items."""
    own, weights = own_item(problem), weights_of(problem)
    left_out = {f"{WITHOUT}{name}": np.where(mine, 0.0, weights) for name, mine in _parts(problem).items()}
    steps = np.eye(len(problem.priors))
    moved = {
        f"{name} {way}": sign * steps[i] for i, name in enumerate(problem.names) for way, sign in WAYS.items()
    }
    count = len(left_out) + len(moved)
    item = Item(
        jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), own.counts),
        jnp.array([np.zeros(len(steps))] * len(left_out) + [*moved.values()]),
        jnp.array([*left_out.values()] + [weights] * len(moved)),
    )
    return [*left_out, *moved], item


def _parts(problem: Problem) -> dict[str, np.ndarray]:
    """Which arms belong to each study and to each arm that tells something, each part once."""
    told = [arm for arm in problem.arms if arm.told and arm.weight > 0.0]
    names = [arm.study for arm in told] + [f"{arm.study}/{arm.name}" for arm in told]
    parts: dict[str, np.ndarray] = {}
    for name in names:
        mine = np.array([name in (arm.study, f"{arm.study}/{arm.name}") for arm in problem.arms])
        if not any(np.array_equal(mine, other) for other in parts.values()):
            parts[name] = mine
    return parts


def influences(problem: Problem, mode: Mode, seed: int, emulator: Emulator | None = None) -> Refit:
    """A compiled function that refits the alternatives of some numbers, as `refitter` does."""
    items = alternatives(problem)[1]

    def make(problem: Problem, around: Around, number: Int[Array, ""]) -> Item:
        return jax.tree.map(lambda leaf: leaf[number], items)

    return refitter(problem, mode, make, seed, emulator)
