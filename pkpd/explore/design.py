"""Which next trial would teach most: candidates ranked by what their counts are expected to tell."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pkpd.devices import float64
from pkpd.endpoints import label
from pkpd.explore.appraisal import CLEAR, Appraisal, Known, appraise, patients_for, ranked
from pkpd.explore.candidates import Asked, Quantity, most_patients, read_asked
from pkpd.explore.outlooks import Course, Endpoints, Say, Seen, TrialArm, see
from pkpd.infer.mode import Mode
from pkpd.infer.predict import thin
from pkpd.infer.problem import Problem
from pkpd.likelihood.distribution import chances, counted
from pkpd.records.answer import load_answer
from pkpd.records.resolve import resolve
from pkpd.response.joint import categories

DRAWS = 500
DEVIATIONS = 8  # of a new study under each draw
Pairs = Mapping[str, str] | Sequence[tuple[str, str]]


def design(
    fit: str,
    candidates: Pairs,
    *,
    about: Sequence[str] = (),
    precision: str = "",
    draws: int = DRAWS,
    seed: int = 0,
    say: Say | None = None,
) -> dict[str, Any]:
    """Candidate trials under the posterior of a stored fit, ranked by the expected information gain.

    A candidate is `REGIMEN | REGIMEN; n = 40, 20; endpoints = regression, alive(365 d)`, regimens as text or
    by the question's names; its arms are those of one new study, which deviates as studies do. `about` are
    quantities: a free parameter, or `OUTCOME: REGIMEN` or `OUTCOME: REGIMEN - REGIMEN`, probabilities in a
    typical study; the first ranks the candidates, without any the gain about all parameters does.
    `precision`, a quantity and `= SD`, asks for the patients of each candidate that leave this posterior
    standard deviation on average. Gains are in nats; contractions are of variances, of parameters on the
    scale on which their priors are normal. Raises `InputError` with all faults.
    """
    with float64():
        question, answer = load_answer(fit)
        problem = resolve(question).problem
        pairs = list(candidates.items()) if isinstance(candidates, Mapping) else list(candidates)
        asked = read_asked(problem, question.regimens, pairs, about, precision)
        points = thin(answer.draws, draws)
        found = assess(problem, asked, points, answer.mode, seed, say or _quiet)
    return {"fit": fit, "draws": len(points), "seed": seed, **found.content()}


class Found(NamedTuple):
    """What candidates are expected to teach, by the draws of a problem's posterior, the best first; by name,
    how many patients the precision takes and what they leave."""

    problem: Problem
    asked: Asked
    seen: Seen
    known: Known
    appraisals: list[Appraisal]
    patients: dict[str, tuple[int | None, float]]

    def content(self) -> dict[str, Any]:
        """Plain JSON."""
        about, values = self.asked.about, self.known.quantities.T
        names = [quantity.label for quantity in about]
        quantities = [
            {"quantity": name, "mean": float(v.mean()), "sd": float(v.std(ddof=1))}
            for name, v in zip(names, values, strict=True)
        ]
        found: dict[str, Any] = {
            "ranked_by": names[0] if names else "all parameters",
            "quantities": quantities,
            "candidates": [self._candidate(one) for one in self.appraisals],
            "words": words(self.appraisals, names[0] if names else "all parameters"),
        }
        if self.asked.target:
            quantity, sd = self.asked.target
            found["precision"] = {"quantity": quantity.label, "sd": sd}
        return found

    def _candidate(self, one: Appraisal) -> dict[str, Any]:
        told = one.gain
        shares = zip(self.problem.names, one.parameters.contraction, strict=True)
        contraction = {name: (share.value, share.mcse) for name, share in shares}
        behind, error = self.appraisals[0].ranked_by.less(one.ranked_by)
        found = {
            "name": one.trial.name,
            "arms": [self._arm(arm) for arm in one.trial.arms],
            "eig": told.estimate.value,
            "mcse": told.estimate.mcse,
            "lower": told.lower,
            "upper": told.upper,
            "laplace": one.linear,
            "sampled": one.sampled,
            "about": [self._about(one, i) for i in range(len(self.asked.about))],
            "behind": {"gain": behind, "mcse": error},
            "contraction": {name: share for name, (share, _) in contraction.items()},
            "contraction_mcse": {name: error for name, (_, error) in contraction.items()},
            "remarks": one.remarks(),
        }
        if one.trial.name in self.patients:
            n, sd = self.patients[one.trial.name]
            found["patients"] = {"n": n, "sd": sd}
        return found

    def _arm(self, arm: TrialArm) -> dict[str, Any]:
        labels = [label(self.problem.model, endpoint) for endpoint in arm.endpoints]
        by_place = {place: k for k, place in enumerate(counted(self.seen.shape(arm)))}
        expected = self.seen.expected(arm)[[by_place[place] for place in categories(arm.endpoints)]]
        return {
            "regimen": arm.regimen,
            "n": arm.n,
            "expected": dict(zip(labels, expected.tolist(), strict=True)),
        }

    def _about(self, one: Appraisal, place: int) -> dict[str, Any]:
        estimate, share = one.about[place].estimate, one.quantities.contraction[place]
        return {
            "quantity": self.asked.about[place].label,
            "gain": estimate.value,
            "mcse": estimate.mcse,
            "contraction": share.value,
            "contraction_mcse": share.mcse,
            "sd": float(np.sqrt(max(one.quantities.left[place], 0.0))),
        }


def assess(
    problem: Problem, asked: Asked, points: np.ndarray, mode: Mode, seed: int = 0, say: Say | None = None
) -> Found:
    """What candidates would teach who knows draws [draws, params] of a posterior, and its mode."""
    say = say or _quiet
    deviations = DEVIATIONS if problem.levels else 1
    courses = _courses(asked)
    seen = see(problem, courses, points, mode.point, deviations, seed, lambda m, part: say(m, 0.7 * part))
    values = [_values(problem, q, seen, points, natural=False) for q in asked.about]
    quantities = np.array(values).reshape(len(asked.about), len(points)).T
    known = Known(points, quantities, np.linalg.inv(mode.hessian))
    appraisals, patients = [], {}
    for i, trial in enumerate(asked.trials):
        say(f"what {trial.name} would teach", 0.7 + 0.3 * i / len(asked.trials))
        appraisals.append(appraise(seen, trial, known, seed))
        if asked.target:
            wanted, sd = asked.target
            own = _values(problem, wanted, seen, points, natural=True)
            most = min(most_patients(len(arm.endpoints)) for arm in trial.arms)
            patients[trial.name] = patients_for(seen, trial, own, sd, most, seed)
    return Found(problem, asked, seen, known, ranked(appraisals), patients)


def words(found: Sequence[Appraisal], subject: str) -> list[str]:
    """Which candidate teaches most about a subject, and from which it cannot be told."""
    best = found[0].ranked_by
    if not best.value > CLEAR * best.mcse:
        return [f"No candidate is expected to teach anything about {subject} that these draws can tell."]
    told = [
        f"{found[0].trial.name} would teach most about {subject}: {best.value:.3g} nats (Monte-Carlo error "
        f"{best.mcse:.2g})."
    ]
    gaps = [(one.trial.name, *best.less(one.ranked_by)) for one in found[1:]]
    if alike := [name for name, gap, error in gaps if not gap > CLEAR * error]:
        told.append(f"These draws cannot tell it from {', '.join(alike)}.")
    if lesser := [f"{name} by {gap:.3g} ({error:.2g})" for name, gap, error in gaps if gap > CLEAR * error]:
        told.append(f"Behind it: {', '.join(lesser)}.")
    return told


def _courses(asked: Asked) -> dict[str, Course]:
    """Each regimen once, with all that is wanted of it."""
    found: dict[str, dict[Endpoints, None]] = {}
    for regimen, endpoints in (*asked.wanted, *asked.looks):
        found.setdefault(regimen, {})[endpoints] = None
    return {regimen: Course(asked.events[regimen], tuple(told)) for regimen, told in found.items()}


def _values(
    problem: Problem, quantity: Quantity, seen: Seen, points: np.ndarray, natural: bool
) -> Float[np.ndarray, " draws"]:
    """A quantity in the draws; a parameter in its unit (`natural`), or on the scale of its prior."""
    if quantity.place is not None:
        own = points[:, quantity.place]
        return np.asarray(problem.priors[quantity.place][1].natural(jnp.asarray(own))) if natural else own
    assert quantity.endpoint is not None
    tables = [seen.typical[regimen, (quantity.endpoint,)] for regimen in quantity.regimens]
    first, *rest = [chances(table)[:, 0] for table in tables]
    return first - rest[0] if rest else first


def _quiet(message: str, share: float) -> None:
    """Tells nobody."""
