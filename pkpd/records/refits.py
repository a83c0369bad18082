"""Refits of a stored fit: to data redrawn from its model, to other evidence and priors, from other starts."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import xarray

from pkpd.infer.batch import STATUSES
from pkpd.infer.bootstrap import replicates
from pkpd.infer.emulated import taught_about
from pkpd.infer.influence import influences
from pkpd.infer.items import check_redrawable
from pkpd.infer.keep import Keep
from pkpd.infer.problem import Problem
from pkpd.infer.refit import Refit
from pkpd.infer.starts import climbs
from pkpd.records.answer import Answer, load_answer
from pkpd.records.resolve import resolve
from pkpd.records.study import Study

REFITS = {"bootstrap": replicates, "influence": influences, "starts": climbs}


@dataclass(frozen=True)
class Refits:
    """Of a stored fit, by number."""

    problem: Problem
    refit: Refit

    @classmethod
    def of(cls, study: Study, keep: Keep) -> "Refits":
        """From the stored answer's mode; `keep` holds the examples from which an emulator learns."""
        problem, answer = fitted(study)
        mode = answer.mode
        if study.kind == "bootstrap":
            check_redrawable(problem)
        emulator, count = None, study.options.get("emulate")
        if count:
            spread = np.linalg.cholesky(np.linalg.inv(mode.hessian))
            emulator = taught_about(problem, mode.point, spread, count, study.seed, keep)
        return cls(problem, REFITS[study.kind](problem, mode, study.seed, emulator))

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


def fitted(study: Study) -> tuple[Problem, Answer]:
    """The problem of a study's fit, and its answer."""
    question, answer = load_answer(study.fit)
    return resolve(question).problem, answer


def statuses(found: xarray.Dataset) -> dict[str, int]:
    """How many refits ended in which way."""
    return {words: int(np.sum(found["status"].values == i)) for i, words in enumerate(STATUSES)}
