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

from pkpd.devices import patients_at_once
from pkpd.infer.batch import CONVERGED
from pkpd.infer.bulk import Chains, sample_many
from pkpd.infer.bulk_normal import Normals, approximate_many
from pkpd.infer.calibrate import Simulated, band, reduced, simulated, uniforms
from pkpd.infer.diagnostics import Draws, pareto_k, smoothed, summary
from pkpd.infer.emulated import taught_about
from pkpd.infer.emulator import Emulator
from pkpd.infer.gates import sampling_checks
from pkpd.infer.items import check_redrawable
from pkpd.infer.keep import Keep
from pkpd.infer.laplace import TRUSTED
from pkpd.infer.problem import Problem, compiled
from pkpd.infer.settings import Settings
from pkpd.records.resolve import load_question, resolve
from pkpd.records.study import Study

LIKELIHOOD = "log likelihood"
LEVEL = 0.99
GATES = {"ess_bulk": 100.0}  # where the gates of a fit ask for more than ranks need
HELD = (50.0, 95.0)  # per cent of the posterior


@dataclass(frozen=True)
class Calibration:
    """Data sets of a reduced problem, drawn from its prior, and their posteriors."""

    study: Study
    problem: Problem
    sample: Callable[[Array], tuple[Simulated, Chains | Normals]]

    @classmethod
    def of(cls, study: Study, keep: Keep) -> "Calibration":
        """From a stored question; `keep` holds the examples from which an emulator learns."""
        problem = reduced_problem(study)
        check_redrawable(problem)
        size, count = len(problem.priors), study.options["emulate"]
        emulator = taught_about(problem, np.zeros(size), np.eye(size), count, study.seed, keep)
        run = compiled(problem, partial(_sampled, study, emulator))
        return cls(study, problem, partial(run, problem.patients))

    def chunk(self, numbers: range, size: int) -> xarray.Dataset:
        """Where the truth lies in the posterior of each data set, and how that was found."""
        padded = jnp.minimum(numbers.start + jnp.arange(size), numbers.stop - 1)
        sets, found = jax.tree.map(np.asarray, self.sample(padded))
        rows = []
        for k, number in enumerate(numbers):
            random = np.random.default_rng((self.study.seed, number))
            one, truth = jax.tree.map(lambda v, k=k: v[k], (found, sets.quantities))
            told = _of_normal if self.study.options["method"] == "laplace" else _of_chains
            rows.append({"truth": sets.truth[k], **told(self.problem, truth, one, random)})
        return xarray.Dataset(
            {key: (AXES.get(key, "item"), np.array([row[key] for row in rows])) for key in rows[0]},
            coords={
                "item": np.array(numbers),
                "parameter": list(self.problem.names),
                "quantity": quantities(self.problem),
            },
        )


AXES = {
    "place": ("item", "quantity"),
    "weighed": ("item", "quantity"),
    "truth": ("item", "parameter"),
    "mean": ("item", "parameter"),
    "sd": ("item", "parameter"),
}


def _drawn(one: Any) -> np.ndarray:
    """What ranks are of, at draws [..., quantities]."""
    return np.concatenate([one.points, one.log_likelihood[..., None], one.predictions], axis=-1)


def _of_chains(problem: Problem, truth: Any, one: Any, random: np.random.Generator) -> dict[str, Any]:
    density = one.log_likelihood - 0.5 * np.sum(one.points**2, axis=-1)
    found = summary(
        Draws(one.points, density, one.diverging, np.zeros_like(density), one.energy), problem.names
    )
    return {
        "place": uniforms(truth, _drawn(one), random),
        "mean": one.points.mean(axis=(0, 1)),
        "sd": one.points.std(axis=(0, 1)),
        "rhat": found["rhat_max"],
        "ess_bulk": found["ess_bulk_min"],
        "ess_tail": found["ess_tail_min"],
        "ebfmi": found["ebfmi_min"],
        "divergent": found["divergent"],
        "accepted": float(one.accepted.mean()),
        "converged": all(sampling_checks(found, Settings(gates=GATES)).values()),
    }


def _of_normal(problem: Problem, truth: Any, one: Any, random: np.random.Generator) -> dict[str, Any]:
    """The approximation's own draws, and the same by their weights, which are refused where they fail."""
    draws, log_weights = _drawn(one), np.where(np.isfinite(one.log_weights), one.log_weights, -np.inf)
    weights, k = smoothed(log_weights), pareto_k(log_weights)
    weighed = np.full(len(truth), np.nan)
    if k < TRUSTED:
        size = max(int(1.0 / np.sum(weights**2)), 1)
        weighed = uniforms(truth, draws[random.choice(len(draws), size, p=weights)][None], random)
    return {
        "place": uniforms(truth, draws[None], random),
        "weighed": weighed,
        "mean": one.points.mean(axis=0),
        "sd": one.points.std(axis=0),
        "pareto_k": k,
        "ess": 1.0 / np.sum(weights**2),
        "converged": one.status == CONVERGED,
    }


def reduced_problem(study: Study) -> Problem:
    """The problem of a study's question with its free parameters and patients."""
    problem = resolve(load_question(study.fit)).problem
    return reduced(problem, study.options["free"], study.options["patients"], study.seed)


def quantities(problem: Problem) -> list[str]:
    """What ranks are of: parameters, the log likelihood, and what the model predicts for each arm."""
    facts = [f"{arm.study}/{arm.name} {fact.label}" for arm in problem.arms for fact in problem.facts(arm)]
    return [*problem.names, LIKELIHOOD, *facts]


def _sampled(
    study: Study, emulator: Emulator, problem: Problem, numbers: Array
) -> tuple[Simulated, Chains | Normals]:
    each = jax.vmap(lambda k: jax.random.split(jax.random.fold_in(jax.random.key(study.seed), k)))(numbers)
    sets, options = jax.vmap(partial(simulated, problem))(each[:, 0]), study.options
    asked = dataclasses.replace(sets.item, weights=options["power"] * sets.item.weights)
    if options["method"] == "laplace":
        width = min(study.chunk, max(1, patients_at_once() // options["patients"]))
        return sets, approximate_many(problem, emulator, asked, each[:, 1], options["draws"], width)
    lengths = (options[key] for key in ("chains", "warmup", "draws"))
    return sets, sample_many(problem, emulator, asked, each[:, 1], *lengths)


def curves(found: xarray.Dataset, of: str = "place") -> dict[str, np.ndarray]:
    """By quantity, where the truth of each data set lies in its posterior, where that is known.

    `of` may be `weighed`, the places among the draws of a normal approximation by their weights.
    """
    names, places = [str(name) for name in found["quantity"].values], found[of].values
    return dict(zip(names, places[np.isfinite(places).all(axis=1)].T, strict=True))


def told(study: Study, found: xarray.Dataset) -> dict[str, Any]:
    """Which quantities' ranks are uniform, and how often intervals hold the truth."""
    verdict = {
        "fit": study.fit,
        "items": found.sizes["item"],
        "converged": int(found["converged"].values.sum()),
        **_verdict(curves(found)),
    }
    if "weighed" in found:
        verdict["weighed"] = _verdict(curves(found, "weighed"))
    return verdict


def _verdict(named: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of the curves of all quantities."""
    sets = len(next(iter(named.values())))
    if not sets:
        return {"sets": 0, "calibrated": None, "quantities": [], "words": "No weights can be trusted."}
    kept = band(sets, len(named), LEVEL)
    rows = [
        {"quantity": name, "uniform": kept.holds(places)} | {f"held{s:.0f}": _held(places, s) for s in HELD}
        for name, places in named.items()
    ]
    failed = [name for name, row in zip(named, rows, strict=True) if not row["uniform"]]
    words = _words(len(named), failed)
    return {"sets": sets, "calibrated": not failed, "quantities": rows, "words": words}


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
