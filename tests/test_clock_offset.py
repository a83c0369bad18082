"""The time of day at which the second drug is given, on the shipped model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.simulation import bind, simulate

HOUR = 1.0 / 24.0
PLAN = "aldesleukin 3 MIU sc q24h x2 at 08:00 + melatonin 40 mg po q24h x2 at 12:00"
SEEN = (1.0 + 13.0 * HOUR, 2.0 + 5.0 * HOUR)  # an hour after melatonin at 12:00, and 16 h later


@pytest.mark.slow
def test_the_offset_acts_by_the_overlap_and_its_slope_is_that_of_the_outcome():
    """Melatonin multiplies the stimulus that is there: it does more where there is more.

    Every outcome of the typical patient moves with his effector cells, in its direction; slopes in the time
    of melatonin are those of central differences.
    """
    model = load_model("neuroimmunotherapy")
    events = bind(model, PLAN)
    second = jnp.asarray([drug == "melatonin" for drug, _ in events.route])
    effect = "effector.excess"

    def outcomes(late):
        moved = dataclasses.replace(events, time=events.time + jnp.where(second, late, 0.0), late=16 * HOUR)
        found = simulate(model, moved, (*SEEN, 28.0), alive=[365.0], outputs=["stimulus.effect", effect])
        stimulus, excess = (found.outputs[name][:, 0] for name in ("stimulus.effect", effect))
        return {name: v[0] for name, v in found.outcomes.items()} | {effect: excess[2]}, stimulus

    along = jax.jit(lambda late: jax.jvp(outcomes, (late,), (1.0,), has_aux=False))
    (close, stimulus), (slope, _) = along(0.01)
    (far, _), _ = along(16.0 * HOUR)
    assert float(stimulus[0]) > 1.5 * float(stimulus[1])
    for name in (effect, "regression", "alive(365 d)", "ps_improved"):
        assert float(close[name]) > float(far[name]), name
    up, down = (along(0.01 + step)[0][0] for step in (1e-4, -1e-4))
    for name, value in slope.items():
        rise = (float(up[name]) - float(down[name])) / 2e-4
        assert float(value) == pytest.approx(rise, rel=1e-4, abs=1e-9), name
    assert np.isfinite(list(slope.values())).all()
