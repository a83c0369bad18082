"""What replicates of a fit say: how far its estimates may be off."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray

from pkpd.checks import fail
from pkpd.infer.batch import CONVERGED
from pkpd.records.refits import fitted, statuses
from pkpd.records.study import Study

FEWEST = 2  # replicates that have a spread
WORDS = (
    "Each replicate redraws the counts and the centres of the priors: with the priors left where they are, "
    "what the data hardly inform would seem known."
)


def told(study: Study, found: xarray.Dataset) -> dict[str, Any]:
    """Intervals of the parameters over the replicates that converged, beside those of the posterior.

    Raises `InputError` where fewer than two converged.
    """
    problem, answer = fitted(study)
    good = found["status"].values == CONVERGED
    if good.sum() < FEWEST:
        raise fail("items", f"must be {FEWEST} that converged, or more", int(good.sum()))
    rows = []
    for i, (name, prior) in enumerate(problem.priors):
        points = found["point"].values[good, i]
        low, high = (float(prior.natural(jnp.asarray(v))) for v in np.quantile(points, [0.025, 0.975]))
        posterior = answer.draws[:, answer.names.index(name)]
        rows.append(
            {
                "parameter": name,
                "unit": problem.unit(name),
                "mode": float(prior.natural(jnp.asarray(answer.content["mode"][name]))),
                "ci95": [low, high],
                "posterior_ci95": answer.content["estimates"][name]["ci95"],
                "sd": float(points.std(ddof=1)),
                "posterior_sd": float(posterior.std(ddof=1)),
            }
        )
    common = {"fit": study.fit, "items": len(good), "statuses": statuses(found)}
    return {**common, "parameters": rows, "words": WORDS}
