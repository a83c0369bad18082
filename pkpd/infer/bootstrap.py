"""Many refits of a problem to data redrawn from its fitted model: how far an estimate may be off.

Each replicate draws the counts of new patients from the model at the mode, and where its prior is centred
from the prior about the mode. Both are data of the estimate: with redrawn counts and the prior left where it
is, a parameter of which the data say little would hardly move, and its spread be falsely narrow. Where the
log density is quadratic the modes of replicates are draws of the posterior.

An arm whose likelihood is raised to a weight w between 0 and 1 must be as uncertain as w times its patients,
but the slope of w times a redrawn log likelihood varies w times less than that. The slope at the mode of
sqrt(w - w^2) times that of a second draw moves the centre of the prior by the rest.

References: Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall 1993, section 6.5;
Bardsley JM, Solonen A, Haario H, Laine M. SIAM J Sci Comput 2014;36:A1895-A1910, doi 10.1137/140964023.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from pkpd.infer.emulator import Emulator
from pkpd.infer.items import Item, check_redrawable, drawn, weights_of
from pkpd.infer.mode import Mode
from pkpd.infer.problem import Problem
from pkpd.infer.refit import Around, Refit, refitter, slope_of


def replicates(problem: Problem, mode: Mode, seed: int, emulator: Emulator | None = None) -> Refit:
    """A compiled function that refits the replicates of some numbers, as `refitter` does.

    Raises `InputError` where an arm reports something that cannot be redrawn.
    """
    check_redrawable(problem)
    return refitter(problem, mode, partial(replicate, seed), seed, emulator)


def replicate(seed: int, problem: Problem, around: Around, number: Int[Array, ""]) -> Item:
    """The replicate of a number: redrawn counts, and a prior whose centre is drawn about the mode."""
    counts, prior, rest = jax.random.split(jax.random.fold_in(jax.random.key(seed), number), 3)
    weights, centre = weights_of(problem), jnp.asarray(around.mode.point)
    item = Item(
        drawn(problem, around.seen, counts),
        centre + jax.random.normal(prior, centre.shape),
        jnp.asarray(weights),
    )
    if np.isin(weights, (0.0, 1.0)).all():
        return item
    more = Item(drawn(problem, around.seen, rest), centre, jnp.asarray(np.sqrt(weights - weights**2)))
    return Item(item.counts, item.centre + slope_of(problem, more, around), item.weights)
