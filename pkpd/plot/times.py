"""The time axis that all courses share."""

import numpy as np
from jaxtyping import Float

from pkpd.simulation import Simulation
from pkpd.units import UnitSystem


def in_days(simulation: Simulation) -> Float[np.ndarray, " times"]:
    """The times of a simulation in days."""
    return np.asarray(simulation.times, float) / UnitSystem(time=simulation.time_unit).day
