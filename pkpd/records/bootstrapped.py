"""Refits to data redrawn from a stored fit's model."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray

from pkpd.checks import fail
from pkpd.infer.batch import CONVERGED, STATUSES
from pkpd.infer.bootstrap import replicates
from pkpd.infer.emulated import WIDER, taught_at
from pkpd.infer.items import check_redrawable
from pkpd.infer.keep import Keep
from pkpd.infer.problem import Problem, evaluator
from pkpd.infer.refit import Refit
from pkpd.records.answer import load_answer
from pkpd.records.resolve import resolve
from pkpd.records.study import Study

FEWEST = 2  # replicates that have a spread
WORDS = (
    "Each replicate redraws the counts and the centres of the priors: with the priors left where they are, "
    "what the data hardly inform would seem known."
)


@dataclass(frozen=True)
class Bootstrap:
    """Replicates of a stored fit."""

    problem: Problem
    refit: Refit

    @classmethod
    def of(cls, study: Study, keep: Keep) -> "Bootstrap":
        """From the stored answer's mode; `keep` holds the examples from which an emulator learns."""
        question, answer = load_answer(study.fit)
        problem, mode = resolve(question).problem, answer.mode
        check_redrawable(problem)
        spread = np.linalg.cholesky(np.linalg.inv(mode.hessian))
        random = np.random.default_rng(study.seed).standard_normal(
            (study.options["emulate"], len(mode.point))
        )
        points = mode.point + WIDER * random @ spread.T
        emulator = taught_at(problem, evaluator(problem), points, study.seed, keep)
        return cls(problem, replicates(problem, mode, study.seed, emulator))

    def chunk(self, numbers: range, size: int) -> xarray.Dataset:
        """Where the refits of some numbers ended, on the normal scale and in the parameters' units."""
        padded = jnp.minimum(numbers.start + jnp.arange(size), numbers.stop - 1)
        found = [np.asarray(v)[: len(numbers)] for v in self.refit(padded)]
        points, log_density, gradient, asked, status = found
        names = self.problem.names
        values = [
            np.asarray(p.natural(jnp.asarray(points[:, i]))) for i, (_, p) in enumerate(self.problem.priors)
        ]
        by_parameter = ("item", "parameter")
        return xarray.Dataset(
            {
                "point": (by_parameter, points),
                "value": (by_parameter, np.stack(values, axis=1)),
                "log_density": ("item", log_density),
                "gradient": ("item", gradient),
                "asked": ("item", asked),
                "status": (
                    "item",
                    status,
                    {"meanings": "; ".join(f"{i} {s}" for i, s in enumerate(STATUSES))},
                ),
            },
            coords={
                "item": np.arange(numbers.start, numbers.stop),
                "parameter": list(names),
                "unit": ("parameter", [self.problem.unit(name) for name in names]),
            },
        )


def told(study: Study, found: xarray.Dataset) -> dict[str, Any]:
    """Intervals of the parameters over the replicates that converged, beside those of the posterior.

    Raises `InputError` where fewer than two converged.
    """
    question, answer = load_answer(study.fit)
    problem = resolve(question).problem
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
    statuses = {s: int(np.sum(found["status"].values == i)) for i, s in enumerate(STATUSES)}
    return {"fit": study.fit, "items": len(good), "statuses": statuses, "parameters": rows, "words": WORDS}
