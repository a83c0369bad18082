"""Schedules side by side under the posterior of a stored fit."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.devices import float64
from pkpd.dosing.events import Events
from pkpd.explore.given import given_by
from pkpd.explore.reach import areas_of, dose_length, prior_driven, reach_of
from pkpd.explore.schedules import (
    Exposed,
    Say,
    Schedule,
    check_horizon,
    exposures_along,
    names_of,
    outcomes_along,
    read_outcomes,
    read_schedules,
)
from pkpd.infer.predict import thin
from pkpd.infer.problem import Problem
from pkpd.records.answer import Answer, load_answer
from pkpd.records.resolve import load_question, resolve

DRAWS = 500
OTHER_DRAWS = 100  # of each alternative fit
EXPOSED = 100  # draws under which the typical patient is exposed
SAME = 0.005  # a mean difference of probabilities that is smaller has no sign
MOST = 20  # schedules


class Under(NamedTuple):
    """Probabilities of named outcomes under a fit's draws."""

    values: Float[np.ndarray, "draws schedules outcomes"]
    outcomes: list[str]

    def of(self, schedule: int, outcome: str) -> Float[np.ndarray, " draws"]:
        """Of one schedule and outcome."""
        return self.values[:, schedule, self.outcomes.index(outcome)]


def compare(
    fit: str,
    schedules: Mapping[str, str],
    *,
    outcomes: Sequence[str] = (),
    against: str = "",
    draws: int = DRAWS,
    others: Sequence[str] | None = None,
    new_study: bool = False,
    seed: int = 0,
    say: Say | None = None,
) -> dict[str, Any]:
    """Schedules, as text or by the question's names, under the posterior of a stored fit.

    `schedules` holds for each the probabilities of outcomes, exposures of the typical patient, what is given,
    and a flag: how it lies to the evidence. `differences` are paired, from the schedule `against` (default:
    the first), with the probability of being higher. `others` are fits that choose otherwise what the
    evidence leaves open, by default those that the question names: beside each number stand theirs, and it is
    `undetermined` where they disagree. Those that are not answered are in `unanswered`. With `new_study` each
    draw draws how a new study deviates; without, it is a typical one. `say` is told of progress.

    Raises `InputError` with all faults.
    """
    with float64():
        question, answer = load_answer(fit)
        problem = resolve(question).problem
        asked = _Asked.read(problem, question.regimens, schedules, outcomes, against)
        points = thin(answer.draws, draws)
        study = seed if new_study else None
        chances = _chances(problem, asked, points, study, say)
        beside, unanswered = _beside(
            question.others if others is None else others, question.regimens, asked, study, say
        )
        exposed = _exposed(problem, asked.schedules, points, say)
    told = _Told(problem, answer, asked, points, chances, beside)
    return {
        "fit": fit,
        "draws": len(points),
        "new_study": new_study,
        "alternatives": list(beside),
        "unanswered": unanswered,
        "schedules": {s.name: told.schedule(i, exposed) for i, s in enumerate(asked.schedules)},
        "differences": told.differences(),
    }


def gain_elsewhere(
    fit: str, best: str, base: str, outcome: str, gain: float, say: Say | None = None
) -> dict[str, Any]:
    """What a schedule gains over another under the fits that choose otherwise what the evidence leaves open.

    `alternatives` are their mean gains, of those that are answered and know the outcome; the `gain` of the
    fit itself is `undetermined` where they disagree with its sign.
    """
    with float64():
        question = load_question(fit)
        problem = resolve(question).problem
        asked = _Asked.read(problem, question.regimens, {"best": best, "base": base}, [outcome], "base")
        beside, unanswered = _beside(question.others, question.regimens, asked, None, say)
    found = {
        name: float((under.of(0, outcome) - under.of(1, outcome)).mean())
        for name, under in beside.items()
        if outcome in under.outcomes
    }
    return {
        "alternatives": found,
        "unanswered": unanswered,
        "undetermined": _apart([gain, *found.values()]),
    }


class _Asked(NamedTuple):
    schedules: list[Schedule]
    endpoints: list[Any]
    outcomes: list[str]
    against: int

    @staticmethod
    def read(
        problem: Problem,
        named: Mapping[str, str],
        schedules: Mapping[str, str],
        outcomes: Sequence[str],
        against: str,
    ) -> "_Asked":
        findings = Findings()
        if not 1 <= len(schedules) <= MOST:
            findings.add("regimen", f"must be given for 1 to {MOST} schedules", len(schedules))
        if against and against not in schedules:
            findings.add("against", "must name a schedule", against, did_you_mean(against, schedules))
        found = read_schedules(problem.model, schedules, named, findings)
        endpoints = read_outcomes(problem.model, outcomes, findings)
        if not findings.faults:
            check_horizon(problem, found, endpoints, findings)
        findings.raise_if_any()
        place = list(schedules).index(against) if against else 0
        return _Asked(found, endpoints, names_of(problem.model, endpoints), place)


def _chances(
    problem: Problem, asked: _Asked, points: np.ndarray, study: int | None, say: Say | None
) -> Under:
    found = outcomes_along(problem, asked.schedules, asked.endpoints, points, seed=study, say=say)
    return Under(found, asked.outcomes)


def _beside(
    names: Sequence[str],
    regimens: Mapping[str, str],
    asked: _Asked,
    study: int | None,
    say: Say | None,
) -> tuple[dict[str, Under], list[str]]:
    """The same under other fits, as far as they know the outcomes; and those that have no answer."""
    found, unanswered = {}, []
    texts = {s.name: str(s.regimen) for s in asked.schedules}
    for name in names:
        try:
            question, answer = load_answer(name)
        except InputError:
            unanswered.append(name)
            continue
        problem = resolve(question).problem
        findings, known = Findings(), Findings()
        mine = read_schedules(problem.model, texts, regimens, findings)
        endpoints = [e for o in asked.outcomes for e in read_outcomes(problem.model, [o], known)]
        findings.raise_if_any()
        outcomes = names_of(problem.model, endpoints)
        there = asked._replace(schedules=mine, endpoints=endpoints, outcomes=outcomes)
        points = thin(answer.draws, OTHER_DRAWS)
        found[name] = _chances(problem, there, points, study, _of(say, name))
    return found, unanswered


def _of(say: Say | None, name: str) -> Say | None:
    return (lambda message, share: say(f"{name}: {message}", share)) if say else None


class _Exposures(NamedTuple):
    """Of the schedules and, after them, of the evidence's arms."""

    by_drug: dict[str, dict[str, Exposed]]
    arms: dict[str, Events]


def _exposed(
    problem: Problem, schedules: Sequence[Schedule], points: np.ndarray, say: Say | None
) -> _Exposures:
    if say:
        say("exposures of the typical patient", 1.0)
    arms = {f"{arm.study}, {arm.name}": arm.events for arm in problem.arms if arm.told}
    courses = [*(s.events for s in schedules), *arms.values()]
    return _Exposures(exposures_along(problem, courses, thin(points, EXPOSED)), arms)


class _Told(NamedTuple):
    """What is told of schedules and differences."""

    problem: Problem
    answer: Answer
    asked: _Asked
    points: np.ndarray
    chances: Under
    beside: dict[str, Under]

    def schedule(self, place: int, exposed: _Exposures) -> dict[str, Any]:
        """Everything about one schedule."""
        mine = self.asked.schedules[place]
        first = len(self.asked.schedules)
        arms = {name: areas_of(exposed.by_drug, first + i) for i, name in enumerate(exposed.arms)}
        lengths = {name: dose_length(events.nominal) for name, events in exposed.arms.items()}
        length = dose_length(mine.events.nominal)
        flag = reach_of(areas_of(exposed.by_drug, place), length, arms, lengths)
        best = self.chances.values.argmax(axis=1)
        told = {name: self._outcome(place, name) for name in self.asked.outcomes}
        for i, name in enumerate(self.asked.outcomes):
            told[name]["best"] = float(np.mean(best[:, i] == place))
        return {
            "regimen": str(mine.regimen),
            "outcomes": told,
            "exposures": {
                drug: {q: _spread(e.values[:, place]) | {"unit": e.unit} for q, e in metrics.items()}
                for drug, metrics in exposed.by_drug.items()
            },
            "given": given_by(mine.regimen),
            "flag": flag.as_dict(),
        }

    def _outcome(self, place: int, name: str) -> dict[str, Any]:
        values = self.chances.of(place, name)
        found = _interval(values)
        others = {f: float(c.of(place, name).mean()) for f, c in self.beside.items() if name in c.outcomes}
        half = np.diff(np.quantile(values, [0.25, 0.75]))[0]
        means = [found["mean"], *others.values()]
        return found | {
            "prior_driven": prior_driven(self.answer.mode, self.points, values),
            "alternatives": others,
            "undetermined": bool(np.ptp(means) > max(half, SAME)),
        }

    def differences(self) -> list[dict[str, Any]]:
        """Each schedule less the one that it is held against, outcome by outcome."""
        base = self.asked.against
        names = [s.name for s in self.asked.schedules]
        return [
            {"schedule": names[place], "against": names[base], "outcome": name}
            | self._difference(place, name)
            for place in range(len(names))
            if place != base
            for name in self.asked.outcomes
        ]

    def _difference(self, place: int, name: str) -> dict[str, Any]:
        base = self.asked.against
        values = self.chances.of(place, name) - self.chances.of(base, name)
        others = {
            f: float((c.of(place, name) - c.of(base, name)).mean())
            for f, c in self.beside.items()
            if name in c.outcomes
        }
        found = _interval(values)
        return found | {
            "p_higher": float(np.mean(values > 0.0) + 0.5 * np.mean(values == 0.0)),
            "prior_driven": prior_driven(self.answer.mode, self.points, values),
            "alternatives": others,
            "undetermined": _apart([found["mean"], *others.values()]),
        }


def _apart(means: Sequence[float]) -> bool:
    """Whether mean differences have both signs."""
    return min(means) < -SAME and max(means) > SAME


def _interval(values: Float[np.ndarray, " draws"]) -> dict[str, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return {"mean": float(values.mean()), "lo95": float(low), "hi95": float(high)}


def _spread(values: Float[np.ndarray, " draws"]) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return {"median": float(middle), "lo95": float(low), "hi95": float(high)}
