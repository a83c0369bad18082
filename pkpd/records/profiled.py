"""Profiles of the parameters of a stored fit."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from pkpd.checks import Findings, did_you_mean
from pkpd.devices import float64, in_threads
from pkpd.infer.mode import gradient_of
from pkpd.infer.profile import Curve, likeliest, profile
from pkpd.records.answer import load_answer
from pkpd.records.resolve import resolve


def profiles(
    name: str, parameters: Sequence[str] = (), progress: Callable[[str, float], None] | None = None
) -> dict[str, Any]:
    """Profiles of posterior and likelihood of a stored fit's parameters, by default of all of the model's.

    Each has places in the parameter's unit, how far log density and log likelihood fall there, and the
    interval in which the likelihood falls by at most 1.92 (an end that the data do not give is null).
    """
    question, answer = load_answer(name)
    say = progress or (lambda message, share: None)
    with float64():
        problem = resolve(question).problem
        known = [path for path in problem.names if path in problem.model.declared]
        findings = Findings()
        for path in parameters:
            if path not in problem.names:
                hint = did_you_mean(path, problem.names)
                findings.add("parameter", "must be a free parameter of the fit", path, hint)
        findings.raise_if_any()
        mode, curvature = answer.mode.point, answer.mode.hessian
        density = partial(gradient_of(problem), problem.patients)
        wanted = list(parameters) or known

        def told(path: str) -> dict[str, Any]:
            say(f"profile of {path}", wanted.index(path) / len(wanted))
            place = problem.names.index(path)
            both = profile(density, mode, curvature, place, top)
            natural = problem.priors[place][1].natural
            return {
                "unit": problem.unit(path),
                "value": float(natural(jnp.asarray(mode[place]))),
                "posterior": _told(both.posterior, natural),
                "likelihood": _told(both.likelihood, natural),
            }

        say("the maximum of the likelihood", 0.0)
        top = likeliest(density, mode, curvature)
        found = dict(zip(wanted, in_threads(told, wanted, ready=True), strict=True))
    return {"profiles": found, "fit": name}


def _told(curve: Curve, natural: Callable[[Any], Any]) -> dict[str, Any]:
    ends = [None if end is None else float(natural(jnp.asarray(end))) for end in curve.interval()]
    return {
        "places": np.asarray(natural(jnp.asarray(curve.places))).tolist(),
        "normal": curve.places.tolist(),
        "drop": curve.drop.tolist(),
        "found": bool(curve.found.all()),
        "ci95": ends,
    }
