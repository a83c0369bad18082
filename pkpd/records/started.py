"""Where climbs from starts drawn from the prior end."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray
from jaxtyping import Float

from pkpd.infer.batch import CONVERGED
from pkpd.records.refits import fitted, statuses
from pkpd.records.study import Study

AGREE = 0.01  # log densities of one end differ by less


def told(study: Study, found: xarray.Dataset) -> dict[str, Any]:
    """How far below the stored mode climbs that converged ended, and how many at each height."""
    _, answer = fitted(study)
    reached = found["log_density"].values[found["status"].values == CONVERGED]
    ends = ends_of(answer.mode.log_density - reached)
    common = {"fit": study.fit, "items": found.sizes["item"], "statuses": statuses(found)}
    return {**common, "ends": ends, "words": in_words(ends)}


def ends_of(below: Float[np.ndarray, " starts"]) -> list[dict[str, Any]]:
    """At each height, the best first, how far `below` the mode it is and how many starts ended there."""
    ends: list[dict[str, Any]] = []
    for gap in np.sort(below):
        if not ends or gap - ends[-1]["below"] > AGREE:
            ends.append({"below": float(gap), "starts": 0})
        ends[-1]["starts"] += 1
    return ends


def in_words(ends: Sequence[dict[str, Any]]) -> str:
    """What ends say of the stored mode."""
    if not ends:
        return "No climb converged."
    if ends[0]["below"] < -AGREE:
        return f"A climb ended {-ends[0]['below']:.2f} above the stored mode: fit anew."
    if ends[0]["below"] > AGREE:
        return "No climb reached the stored mode."
    if len(ends) == 1:
        return "All climbs that converged ended at the stored mode."
    elsewhere = sum(end["starts"] for end in ends[1:])
    return f"{elsewhere} ended elsewhere, the best {ends[1]['below']:.2f} below the stored mode."
