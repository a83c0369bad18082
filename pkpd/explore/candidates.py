"""Candidate trials and quantities as text, such as `ONE | OTHER; n = 40, 20; endpoints = regression`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pkpd.checks import Findings, InputError, did_you_mean, fail
from pkpd.dosing import Regimen
from pkpd.dosing.events import Events
from pkpd.endpoints import endpoint_of, label
from pkpd.explore.outlooks import Endpoints, Trial, TrialArm
from pkpd.explore.schedules import Schedule, check_horizon
from pkpd.infer.problem import Problem
from pkpd.likelihood.distribution import TAILS
from pkpd.model import Model
from pkpd.records.evidence import bound
from pkpd.response.joint import Endpoint, axes_of

KEYS = ("n", "endpoints")
EXAMPLE = '"REGIMEN; n = 40; endpoints = regression, alive(365 d)"'
LARGEST = 6_000_000  # numbers that the counts of one arm may need for each draw
MOST = 100_000  # patients of an arm
MOST_TRIALS = 20
_NAME = re.compile(r"[^\s=,;][^=,;]{0,39}")
_MINUS = re.compile(r"\s-\s+(?!\d)")


class Quantity(NamedTuple):
    """What one wants to know: a free parameter, or an outcome's probability in a typical study under one
    regimen, or by how much it is higher than under another."""

    label: str
    place: int | None = None
    endpoint: Endpoint | None = None
    regimens: tuple[str, ...] = ()


class Asked(NamedTuple):
    """Candidates, quantities, the precision that one of them should have; the doses of all regimens, and what
    is wanted of which: by the candidates, and by the quantities."""

    trials: list[Trial]
    about: list[Quantity]
    target: tuple[Quantity, float] | None
    events: dict[str, Events]
    wanted: list[tuple[str, Endpoints]]
    looks: list[tuple[str, Endpoints]]


class Reader:
    """Reads texts against a problem and the regimens that its question names; all faults go to `findings`."""

    def __init__(self, problem: Problem, named: Mapping[str, str], findings: Findings):
        self.problem, self.named, self.findings = problem, named, findings
        self.events: dict[str, Events] = {}

    def trial(self, name: str, text: str) -> Trial | None:
        """A candidate; None where it is at fault."""
        place, start = f"candidate {name}", len(self.findings.faults)
        if not _NAME.fullmatch(name):
            self.findings.add(place, "must be named in at most 40 characters without = , or ;", name)
        first, *rest = text.split(";")
        told = self._keys(place, rest)
        regimens = [self.regimen(place, part) for part in first.split("|")]
        endpoints = self._endpoints(place, told.get("endpoints", ""))
        sizes = self._sizes(place, told.get("n", ""), len(regimens))
        if len(self.findings.faults) > start:
            return None
        arms = [TrialArm(r, endpoints, n) for r, n in zip(regimens, sizes, strict=True)]
        for arm in arms:
            self._check_arm(place, arm)
        return Trial(name, tuple(arms))

    def quantity(self, place: str, text: str) -> Quantity | None:
        """A quantity; None where it is at fault."""
        outcome, colon, rest = text.partition(":")
        if not colon:
            name = text.strip()
            if name in self.problem.names:
                return Quantity(name, place=self.problem.names.index(name))
            rule = "must be a free parameter, or an outcome with regimens, such as regression: ONE - OTHER"
            self.findings.add(place, rule, name, did_you_mean(name, self.problem.names))
            return None
        start, endpoint = len(self.findings.faults), self._endpoint(place, outcome.strip())
        parts = [part.strip() for part in _MINUS.split(rest)]
        if len(parts) > 2:
            self.findings.add(place, "must be one regimen less one other at most", text)
        regimens = tuple(self.regimen(place, part) for part in parts)
        if len(self.findings.faults) > start or endpoint is None:
            return None
        for regimen in regimens:
            self._check_doses(place, regimen, [endpoint])
        told = f"{label(self.problem.model, endpoint)}: {' - '.join(parts)}"
        return Quantity(told, endpoint=endpoint, regimens=regimens)

    def precision(self, text: str) -> tuple[Quantity, float] | None:
        """A quantity and the standard deviation that it should have."""
        wanted, equals, value = text.rpartition("=")
        quantity = self.quantity("precision", wanted) if equals else None
        sd = _number(value)
        if not equals or not 0.0 < sd < np.inf:
            rule = "must be a quantity = its standard deviation, above 0"
            self.findings.add("precision", rule, text, "Such as regression: REGIMEN = 0.05")
            return None
        return None if quantity is None else (quantity, sd)

    def regimen(self, place: str, text: str) -> str:
        """The text of a regimen, which may be a name of the question's; its doses are kept."""
        told = self.named.get(text.strip(), text.strip())
        if told in self.events:
            return told
        if " " not in told and told != "none":
            rule = "must be a regimen, or the name of one of the fit's"
            self.findings.add(place, rule, told, did_you_mean(told, self.named))
        elif (events := bound(self.problem.model, place, told, self.findings)) is not None:
            self.events[told] = events
        return told

    def _keys(self, place: str, parts: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for part in filter(str.strip, parts):
            key, equals, value = (word.strip() for word in part.partition("="))
            if key not in KEYS or not equals:
                self.findings.add(place, "must have known keys only", part.strip(), did_you_mean(key, KEYS))
            elif key in found:
                self.findings.add(f"{place}: {key}", "must be given once", value)
            else:
                found[key] = value
        for key in KEYS:
            if not found.setdefault(key, ""):
                self.findings.add(f"{place}: {key}", "must be given", hint=f"For instance {EXAMPLE}.")
        return found

    def _sizes(self, place: str, text: str, arms: int) -> list[int]:
        words = [word.strip() for word in text.split(",")] if text else []
        sizes = [int(word) if word.isascii() and word.isdigit() and len(word) < 9 else 0 for word in words]
        if any(not 1 <= n <= MOST for n in sizes):
            rule = f"must be whole numbers of patients from 1 to {MOST:,}"
            self.findings.add(f"{place}: n", rule, text)
        elif words and len(sizes) not in (1, arms):
            self.findings.add(f"{place}: n", f"must be one number, or one for each of {arms} arms", text)
        return sizes * arms if len(sizes) == 1 else sizes

    def _endpoint(self, place: str, name: str) -> Endpoint | None:
        try:
            endpoint = endpoint_of(self.problem.model, name)
        except InputError as error:
            self.findings.adopt(error, place)
            return None
        if endpoint.time is not None and not 0.0 < endpoint.time <= 36_525.0 * self.problem.model.units.day:
            self.findings.add(place, "must look at patients after 0 and within 100 years", name)
            return None
        return endpoint

    def _endpoints(self, place: str, text: str) -> Endpoints:
        words = [word.strip() for word in text.split(",")] if text else []
        found = [self._endpoint(f"{place}: endpoints", word) for word in words]
        endpoints = tuple(endpoint for endpoint in found if endpoint is not None)
        try:
            exclusive(self.problem.model, endpoints)
        except InputError as error:
            self.findings.adopt(error, place)
        return endpoints

    def _check_arm(self, place: str, arm: TrialArm) -> None:
        """An arm whose counts can be told, and whose doses can change them."""
        self._check_doses(place, arm.regimen, arm.endpoints)
        if needed(len(arm.endpoints), arm.n) > LARGEST:
            most = most_patients(len(arm.endpoints))
            rule = f"must be at most {most} for {len(arm.endpoints)} endpoints"
            self.findings.add(f"{place}: n", rule, arm.n, "Ask for fewer endpoints.")

    def _check_doses(self, place: str, regimen: str, endpoints: Sequence[Endpoint]) -> None:
        schedule = Schedule(place, Regimen.parse(regimen), self.events[regimen])
        check_horizon(self.problem, [schedule], endpoints, self.findings)


def read_asked(
    problem: Problem,
    named: Mapping[str, str],
    candidates: Sequence[tuple[str, str]],
    about: Sequence[str] = (),
    precision: str = "",
) -> Asked:
    """Candidates by name, quantities and a precision from texts; raises `InputError` with all faults."""
    findings = Findings()
    reader = Reader(problem, named, findings)
    if not 1 <= len(candidates) <= MOST_TRIALS:
        findings.add("candidate", f"must be given for 1 to {MOST_TRIALS} trials", len(candidates))
    names = [name for name, _ in candidates]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        findings.add(f"candidate {name}", "must be named once", name)
    trials = [reader.trial(name, text) for name, text in candidates]
    wanted = [reader.quantity("about", text) for text in about]
    target = reader.precision(precision) if precision else None
    findings.raise_if_any()
    kept = [trial for trial in trials if trial is not None]
    quantities = [q for q in wanted if q is not None]
    looked = [*quantities, *([target[0]] if target else [])]
    return Asked(
        kept,
        quantities,
        target,
        reader.events,
        [(arm.regimen, arm.endpoints) for trial in kept for arm in trial.arms],
        [(regimen, (q.endpoint,)) for q in looked if q.endpoint for regimen in q.regimens],
    )


def exclusive(model: Model, endpoints: Endpoints) -> None:
    """Raises `InputError` where endpoints of one outcome do not exclude each other."""
    for axis in axes_of(endpoints):
        whole = getattr(model.outcomes.get(axis.outcome), "whole", ())
        told = [kind for kinds in axis.members for kind in kinds or whole]
        if len(set(told)) < len(told):
            raise fail(
                "endpoints", f"must exclude each other where they are of {axis.outcome}", ", ".join(told)
            )


def needed(endpoints: int, n: int) -> float:
    """How many numbers the counts of an arm need at most for each draw."""
    return min(n + 1.0, 2.0 * (0.5 * TAILS * np.sqrt(n) + 12.0)) ** endpoints


def most_patients(endpoints: int) -> int:
    """The largest arm whose counts can be told."""
    sizes = np.unique(np.geomspace(1, MOST, 400).astype(int))
    return int(max(n for n in sizes if needed(endpoints, int(n)) <= LARGEST))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
