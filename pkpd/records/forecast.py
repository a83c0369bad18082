"""What a stored fit says of arms that it has not seen."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pkpd.arms import ArmTable, read_arms
from pkpd.checks import Findings
from pkpd.devices import float64
from pkpd.records.answer import load_answer
from pkpd.records.evidence import Reader, read_evidence
from pkpd.records.resolve import resolve

if TYPE_CHECKING:
    from pkpd.infer.arm import Arm
    from pkpd.infer.problem import Problem
    from pkpd.records.question import Question

DRAWS = 500


def predict_arms(name: str, path: str | Path, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """Predictions of a stored fit for the arms of a table, scored where counts are known.

    Regimens are texts or names of the question's. A study that the fit has seen keeps its deviations, any
    other draws new ones. Rows and summary as in `pkpd.infer.score`, and with each row the arms that were
    `fitted` and have the same patients: such a row is not in the summary. Raises `InputError` with every
    fault.
    """
    from pkpd.infer.predict import along, extended, thin, with_arms
    from pkpd.infer.problem import evaluator
    from pkpd.infer.score import Baseline, joint_scores, rows_of, summary_of

    question, answer = load_answer(name)
    with float64():
        fitted = resolve(question).problem
        tables, arms = _arms(question, fitted, path)
        new = with_arms(fitted, arms)
        points = extended(new, thin(answer.draws, draws), seed)
        found = along(evaluator(new), new.patients, points)
        same = _fitted(tables, question.arms)
        rows = rows_of(new, found, Baseline.of(fitted), seed)
        rows = [row | {"fitted": same[row["study"], row["arm"]]} for row in rows]
        seen = {study for (study, _), arms in same.items() if arms}
        scores = {study: v for study, v in joint_scores(new, found).items() if study not in seen}
        summary = summary_of([row for row in rows if not row["fitted"]], seed) | {"studies": scores}
    return {"rows": rows, "summary": summary, "fit": name, "draws": len(points)}


def _parts(table: ArmTable) -> list[ArmTable]:
    """An arm as what is known of it and what is not, because both are predicted."""
    known = tuple(count for count in table.counts if count.events is not None)
    unknown = tuple(count for count in table.counts if count.events is None)
    if not unknown or not (known or table.reports):
        return [table]
    parts = {"counts": known}, {"counts": unknown, "reports": ()}
    return [dataclasses.replace(table, **part) for part in parts]


def _fitted(new: Sequence[ArmTable], old: Sequence[ArmTable]) -> dict[tuple[str, str], list[str]]:
    """By study and arm, the fitted arms that are the same, or that either says to have the same patients."""

    def same(arm: ArmTable, other: ArmTable) -> bool:
        twins = (arm.study, arm.arm) == (other.study, other.arm)
        return twins or other.excluded_by(arm) or arm.excluded_by(other)

    fitted = [other for other in old if other.weight > 0.0]
    return {(arm.study, arm.arm): [o.full_name for o in fitted if same(arm, o)] for arm in new}


def _arms(question: "Question", fitted: "Problem", path: str | Path) -> tuple[list[ArmTable], list["Arm"]]:
    whole, findings = read_arms(path, str(path), sourced=False, overlap=True)
    tables = [part for table in whole for part in _parts(table)]
    here = Findings(str(path))
    reader = Reader(fitted.model, question.regimens, fitted.joint, here, here)
    arms = read_evidence(reader, tables, overlap=True)
    findings.faults.extend(here.faults)
    findings.raise_if_any()
    return tables, [dataclasses.replace(arm, weight=1.0) for arm in arms if arm is not None]
