"""What a stored fit says of arms that it has not seen."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pkpd.arms import ArmTable, read_arms
from pkpd.checks import Findings
from pkpd.devices import float64
from pkpd.records.answer import load_answer
from pkpd.records.evidence import Reader, read_evidence
from pkpd.records.resolve import resolve

if TYPE_CHECKING:
    from pkpd.infer.problem import Problem
    from pkpd.records.question import Question

DRAWS = 500


def predict_arms(name: str, path: str | Path, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """Predictions of a stored fit for the arms of a table, scored where counts are known.

    Regimens are texts or names of the question's. A study that the fit has seen keeps its deviations, any
    other draws new ones. Rows and summary as in `pkpd.infer.score`; raises `InputError` with every fault.
    """
    from pkpd.infer.predict import along, extended, thin, with_arms
    from pkpd.infer.problem import evaluator
    from pkpd.infer.score import Baseline, joint_scores, rows_of, summary_of

    question, answer = load_answer(name)
    with float64():
        fitted = resolve(question).problem
        new = with_arms(fitted, _arms(question, fitted, path))
        points = extended(new, thin(answer.draws, draws), seed)
        found = along(evaluator(new), new.patients, points)
        rows = rows_of(new, found, Baseline.of(fitted), seed)
        summary = summary_of(rows, seed) | {"studies": joint_scores(new, found)}
    return {"rows": rows, "summary": summary, "fit": name, "draws": len(points)}


def _parts(table: ArmTable) -> list[ArmTable]:
    """An arm as what is known of it and what is not, because both are predicted."""
    known = tuple(count for count in table.counts if count.events is not None)
    unknown = tuple(count for count in table.counts if count.events is None)
    if not unknown or not (known or table.reports):
        return [table]
    parts = {"counts": known}, {"counts": unknown, "reports": ()}
    return [dataclasses.replace(table, **part) for part in parts]


def _arms(question: "Question", fitted: "Problem", path: str | Path) -> list[Any]:
    tables, findings = read_arms(path, str(path), sourced=False, overlap=True)
    here = Findings(str(path))
    reader = Reader(fitted.model, question.regimens, fitted.joint, here, here)
    arms = read_evidence(reader, [part for table in tables for part in _parts(table)], overlap=True)
    findings.faults.extend(here.faults)
    findings.raise_if_any()
    return [dataclasses.replace(arm, weight=1.0) for arm in arms if arm is not None]
