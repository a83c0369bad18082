"""Which summary of the effector excess acts on survival and on performance status.

The data do not tell; the alternatives are named so that an answer can be shown under each:
`memory` (fading integral over 28 days), `cumulative`, `first 28 days`, `block mean`, `peak`.
All are in units of a mean excess over a 28-day block.
"""

import jax.numpy as jnp
from jax.lax import cummax

from pkpd.response.outcome import Course, Path

SUMMARIES = ("memory", "cumulative", "first 28 days", "block mean", "peak")


def summarise(kind: str, course: Course) -> Path:
    """The summary along the course."""
    times, block = course.times[:, None], course.block
    if kind == "memory":
        return course.paths["memory"] / block
    if kind == "peak":
        return cummax(course.paths["excess"], axis=0)
    total = course.integral("excess")
    if kind == "cumulative":
        return total / block
    end = course.treated if kind == "block mean" else block
    held = total[jnp.minimum(jnp.arange(len(course.times)), course.row(end))]
    length = jnp.maximum(jnp.minimum(times, course.treated), 1e-9) if kind == "block mean" else block
    return held / length
