"""Calibration of the sampler on a small form of a question."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array

from pkpd.infer.bulk import Chains, sample_many
from pkpd.infer.calibrate import Simulated, band, reduced, simulated, uniforms
from pkpd.infer.diagnostics import Draws, summary
from pkpd.infer.emulated import WIDER, taught_at
from pkpd.infer.emulator import Emulator
from pkpd.infer.gates import sampling_checks
from pkpd.infer.items import check_redrawable
from pkpd.infer.keep import Keep
from pkpd.infer.problem import Problem, compiled, evaluator
from pkpd.infer.settings import Settings
from pkpd.records.resolve import load_question, resolve
from pkpd.records.study import Study

LIKELIHOOD = "log likelihood"
LEVEL = 0.99
HELD = (50.0, 95.0)  # per cent of the posterior


@dataclass(frozen=True)
class Calibration:
    """Data sets of a reduced problem, drawn from its prior, and their posteriors."""

    study: Study
    problem: Problem
    sample: Callable[[Array], tuple[Simulated, Chains]]

    @classmethod
    def of(cls, study: Study, keep: Keep) -> "Calibration":
        """From a stored question; `keep` holds the examples from which an emulator learns."""
        problem = reduced_problem(study)
        check_redrawable(problem)
        size = study.options["emulate"], len(problem.priors)
        points = WIDER * np.random.default_rng(study.seed).standard_normal(size)
        emulator = taught_at(problem, evaluator(problem), points, study.seed, keep)
        run = compiled(problem, partial(_sampled, study, emulator))
        return cls(study, problem, partial(run, problem.patients))

    def chunk(self, numbers: range, size: int) -> xarray.Dataset:
        """Where the truth lies in the posterior of each data set, and how that was sampled."""
        padded = jnp.minimum(numbers.start + jnp.arange(size), numbers.stop - 1)
        sets, chains = jax.tree.map(np.asarray, self.sample(padded))
        rows = [self._row(number, k, sets, chains) for k, number in enumerate(numbers)]
        names = self.problem.names
        by_name = {"place": "quantity", "truth": "parameter", "mean": "parameter", "sd": "parameter"}
        return xarray.Dataset(
            {
                key: (
                    ("item", by_name[key]) if key in by_name else "item",
                    np.array([row[key] for row in rows]),
                )
                for key in rows[0]
            },
            coords={
                "item": np.array(numbers),
                "parameter": list(names),
                "quantity": quantities(self.problem),
            },
        )

    def _row(self, number: int, k: int, sets: Any, chains: Any) -> dict[str, Any]:
        told = chains.log_likelihood[k][..., None]
        draws = np.concatenate([chains.points[k], told, chains.predictions[k]], axis=-1)
        random = np.random.default_rng((self.study.seed, number))
        density = chains.log_likelihood[k] - 0.5 * np.sum(chains.points[k] ** 2, axis=-1)
        steps = np.zeros_like(density)
        sampled = Draws(chains.points[k], density, chains.diverging[k], steps, chains.energy[k])
        found = summary(sampled, self.problem.names)
        settings = Settings(gates={"ess_bulk": 100.0})
        return {
            "place": uniforms(sets.quantities[k], draws, random),
            "truth": sets.truth[k],
            "mean": chains.points[k].mean(axis=(0, 1)),
            "sd": chains.points[k].std(axis=(0, 1)),
            "rhat": found["rhat_max"],
            "ess_bulk": found["ess_bulk_min"],
            "ess_tail": found["ess_tail_min"],
            "ebfmi": found["ebfmi_min"],
            "divergent": found["divergent"],
            "accepted": float(chains.accepted[k].mean()),
            "converged": all(sampling_checks(found, settings).values()),
        }


def reduced_problem(study: Study) -> Problem:
    """The problem of a study's question with its free parameters and patients."""
    problem = resolve(load_question(study.fit)).problem
    return reduced(problem, study.options["free"], study.options["patients"], study.seed)


def quantities(problem: Problem) -> list[str]:
    """What ranks are of: parameters, the log likelihood, and what the model predicts for each arm."""
    facts = [f"{arm.study}/{arm.name} {fact.label}" for arm in problem.arms for fact in problem.facts(arm)]
    return [*problem.names, LIKELIHOOD, *facts]


def _sampled(study: Study, emulator: Emulator, problem: Problem, numbers: Array) -> tuple[Simulated, Chains]:
    each = jax.vmap(lambda k: jax.random.split(jax.random.fold_in(jax.random.key(study.seed), k)))(numbers)
    sets = jax.vmap(partial(simulated, problem))(each[:, 0])
    power = study.options["power"] * sets.item.weights
    asked = dataclasses.replace(sets.item, weights=power)
    lengths = (study.options[key] for key in ("chains", "warmup", "draws"))
    return sets, sample_many(problem, emulator, asked, each[:, 1], *lengths)


def curves(found: xarray.Dataset) -> dict[str, np.ndarray]:
    """By quantity, where the truth of each data set lies in its posterior."""
    names = [str(name) for name in found["quantity"].values]
    return dict(zip(names, found["place"].values.T, strict=True))


def told(study: Study, found: xarray.Dataset) -> dict[str, Any]:
    """Which quantities' ranks are uniform, and how often intervals hold the truth."""
    named = curves(found)
    kept = band(found.sizes["item"], len(named), LEVEL)
    rows = [
        {"quantity": name, "uniform": kept.holds(places)} | {f"held{s:.0f}": _held(places, s) for s in HELD}
        for name, places in named.items()
    ]
    failed = [name for name, row in zip(named, rows, strict=True) if not row["uniform"]]
    return {
        "fit": study.fit,
        "items": found.sizes["item"],
        "converged": int(found["converged"].values.sum()),
        "calibrated": not failed,
        "quantities": rows,
        "words": _words(len(named), failed),
    }


def _held(places: np.ndarray, percent: float) -> float:
    """The share of truths in the central interval that has so many per cent."""
    return float(np.mean(np.abs(places - 0.5) < percent / 200))


def _words(count: int, failed: list[str]) -> str:
    if not failed:
        return (
            f"Calibrated: all {count} curves of ranks lie in simultaneous {LEVEL:.0%} bands of uniform ones."
        )
    return (
        f"Not calibrated: the ranks of {', '.join(failed)} are not uniform (simultaneous {LEVEL:.0%} bands)."
    )
