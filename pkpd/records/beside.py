"""Stored answers side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from pkpd.checks import Findings, InputError
from pkpd.records.answer import Answer, load_answer
from pkpd.records.question import Question

MOVED = 0.5  # posterior standard deviations from which something is told to have moved
RARE = 1e-3  # a probability that differs by less has not moved, however sure the first answer is


def beside(names: Sequence[str]) -> dict[str, Any]:
    """What stored answers say of the same outcomes and parameters, and what the choice between them moves.

    `outcomes` and `parameters` have an entry by fit where it knows them; `moved` has by fit what differs from
    the first one, as the distance between posterior means in posterior standard deviations of the first: of
    each parameter with the same prior, on the scale on which that is normal, and of each outcome. Raises
    `InputError` with the faults of all answers.
    """
    loaded = _loaded(names)
    answers = {name: answer for name, (_, answer) in loaded.items()}
    (first, *others), outcomes = answers, _outcomes(answers)
    return {
        "fits": {
            name: {
                "title": question.title,
                **{key: answer.content[key] for key in ("status", "seconds", "words", "log_likelihood")},
            }
            for name, (question, answer) in loaded.items()
        },
        "outcomes": outcomes,
        "parameters": _parameters(answers),
        "moved": {
            name: {
                "parameters": _shifts(answers[first], answers[name]),
                "outcomes": _shifts_of_outcomes(outcomes, first, name),
            }
            for name in others
        },
    }


def _loaded(names: Sequence[str]) -> dict[str, tuple[Question, Answer]]:
    findings, found = Findings(), {}
    for name in names:
        if name in found:
            findings.add("FIT", "must be given once", name)
            continue
        try:
            found[name] = load_answer(name)
        except InputError as error:
            findings.adopt(error)
    findings.raise_if_any()
    return found


def _outcomes(answers: Mapping[str, Answer]) -> list[dict[str, Any]]:
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for name, answer in answers.items():
        for row in (*answer.content["arms"], *answer.content["predictions"]):
            key = row["study"], row["arm"], row["endpoint"]
            told = {k: row.get(k) for k in ("n", "events", "value", "se", "probability")}
            one = found.setdefault(key, dict(zip(("study", "arm", "endpoint"), key, strict=True)) | told)
            weight = 0.0 if row["study"] == "predicted" else row.get("weight", 1.0)
            said = {"mean": row["posterior_mean"], "lo95": row["lo95"], "hi95": row["hi95"]}
            one.setdefault("fits", {})[name] = said | {"weight": weight}
    return list(found.values())


def _parameters(answers: Mapping[str, Answer]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, answer in answers.items():
        for path, row in answer.content["estimates"].items():
            one = found.setdefault(path, {"parameter": path, "unit": row["unit"], "fits": {}})
            one["fits"][name] = {key: row[key] for key in ("value", "ci95", "contraction")}
    return list(found.values())


def _shifts(first: Answer, answer: Answer) -> dict[str, float]:
    """Distances of the parameters that have the same prior in both answers."""
    mine = answer.content["transforms"]
    same = [path for path, prior in first.content["transforms"].items() if mine.get(path) == prior]
    return {path: _distance(first, answer, path) for path in same}


def _shifts_of_outcomes(outcomes: Sequence[Mapping[str, Any]], first: str, name: str) -> dict[str, float]:
    """Distances of outcomes that both answers know, by their study, arm and endpoint."""
    found = {}
    for row in outcomes:
        if {first, name} <= set(row["fits"]):
            one, other = row["fits"][first], row["fits"][name]
            least = 1e-300 if row["probability"] is False else RARE / MOVED
            sd = max((one["hi95"] - one["lo95"]) / 3.92, least)
            label = ", ".join(row[key] for key in ("study", "arm", "endpoint") if row[key] != "predicted")
            found[label] = (other["mean"] - one["mean"]) / sd
    return found


def _distance(first: Answer, answer: Answer, path: str) -> float:
    one, other = (a.draws[:, a.names.index(path)] for a in (first, answer))
    return float((other.mean() - one.mean()) / one.std(ddof=1))


def in_words(moved: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """What the choice between answers moves, by how much, that which moves most first."""
    found = []
    for name, kinds in moved.items():
        for kind, shifts in kinds.items():
            far = sorted((p for p in shifts if abs(shifts[p]) >= MOVED), key=lambda p: -abs(shifts[p]))
            told = "; ".join(f"{path} by {shifts[path]:+.1f}" for path in far)
            told = told or f"none by {MOVED:g} or more"
            found.append(f"{name} moves {kind}: {told} (posterior SD)")
    return found
