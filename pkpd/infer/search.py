"""The mode from many starts, and what is normal around it; kept, because it takes minutes."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from pkpd.infer.coordinates import Coordinates, coordinates_of, scaled
from pkpd.infer.keep import Keep, same_density
from pkpd.infer.laplace import Normal, approximate
from pkpd.infer.mode import Climb, Mode, ascend, climb, gradient_of, polish, prior_starts
from pkpd.infer.problem import Evaluate, Problem
from pkpd.infer.settings import Settings

SCOUTS = 64  # virtual patients with whom starts climb


class Searched(NamedTuple):
    """Where starts ended with few virtual patients, the mode with all, and what is normal around it."""

    climbed: Climb
    mode: Mode
    normal: Normal

    def arrays(self) -> list[np.ndarray]:
        """All that cannot be told from the problem."""
        wide = self.normal.coordinates.linear, self.normal.coordinates.square
        return [np.asarray(v) for v in (*self.climbed, *self.mode, *self.normal.top, *wide)]

    @classmethod
    def of(cls, problem: Problem, arrays: list[np.ndarray]) -> "Searched":
        """The same again."""
        ends, modes, wide = arrays[:4], (arrays[4:8], arrays[8:12]), arrays[12:]
        mode, top = (Mode(point, float(v), float(slope), curved) for point, v, slope, curved in modes)
        linear, square = map(jnp.asarray, wide)
        return cls(Climb(*ends), mode, Normal(Coordinates(linear, square, *scaled(problem)), top))


def search(
    problem: Problem, evaluate: Evaluate, settings: Settings, say: Callable[[str, float], None], keep: Keep
) -> Searched:
    """Climbs from starts drawn from the prior, or reads what `keep` holds of the same search.

    Raises `InputError` where that is of another density.
    """
    name = f"search-{settings.starts}-{settings.seed}"
    if kept := keep.read(name):
        found = Searched.of(problem, kept)
        now = evaluate(problem.patients, jnp.asarray(found.mode.point)).log_likelihood
        same_density(float(now) - 0.5 * float(np.sum(found.mode.point**2)), found.mode.log_density)
        return found
    found = _searched(problem, settings, say)
    keep.write(name, found.arrays())
    return found


def _searched(problem: Problem, settings: Settings, say: Callable[[str, float], None]) -> Searched:
    say(f"climbing from {settings.starts} starts drawn from the prior", 0.0)
    slope, groups = gradient_of(problem), problem.patients.groups
    few = groups * -(-SCOUTS // groups)
    scouts = problem.crowd(few, settings.seed) if few < problem.patients.count else problem.patients
    climbed = climb(partial(slope, scouts), prior_starts(problem, settings.starts, settings.seed))
    say("polishing the mode", 0.1)
    gradient, best = partial(slope, problem.patients), climbed.points[np.nanargmax(climbed.log_density)]
    mode = polish(gradient, best if scouts is problem.patients else ascend(gradient, best)[0])
    return Searched(climbed, mode, approximate(gradient, mode, coordinates_of(problem, settings.seed)))
