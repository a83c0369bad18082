"""Reads a table of arms: every row, then every rule, and all faults at once."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from pkpd.arms.arm import Draft, read_arm
from pkpd.arms.printed import printed_remarks
from pkpd.arms.rows import Row, read_rows
from pkpd.arms.rules import check_rules, exclusion_remarks, pool_remarks
from pkpd.arms.survival import check_survival
from pkpd.arms.table import ArmTable
from pkpd.checks import Findings, InputError


def load_arms(path: str | Path) -> tuple[ArmTable, ...]:
    """The arms of a CSV file, in order; raises `InputError` with every fault, each with line and column."""
    arms, findings = read_arms(path)
    findings.raise_if_any()
    return arms


def read_arms(
    path: str | Path,
    label: str = "",
    sourced: bool = True,
    weights: Mapping[str, float] | None = None,
    overlap: bool = False,
) -> tuple[tuple[ArmTable, ...], Findings]:
    """The arms without fault of a CSV file, `label` in messages, and every fault.

    Arms that are not evidence but to be predicted need no source: `sourced` is False for them. `weights`, by
    study or `study/arm`, replace those of the table; with `overlap` those of a pool may count twice.
    Raises `InputError` where the file cannot be read as a table of arms.
    """
    path = Path(path)
    findings = Findings(label or str(path))
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in read_rows(path, sourced, findings):
        alone = 0 if row["study"] and row["arm"] else row.line
        groups.setdefault((row["study"], row["arm"], alone), []).append(row)
    drafts = [_weighed(read_arm(rows, sourced, findings), weights or {}) for rows in groups.values()]
    named = [draft for draft in drafts if draft.table.study and draft.table.arm]
    check_survival(named, findings)
    check_rules(named, findings, overlap, evidence=sourced)
    return tuple(draft.table for draft in drafts if draft.sound), findings


def _weighed(draft: Draft, weights: Mapping[str, float]) -> Draft:
    """An arm with the weight that is given for it, else for its study, else its own."""
    table = draft.table
    name = next((name for name in (table.full_name, table.study) if name in weights), None)
    if name is None:
        return draft
    places = {**table.places, "weight": f"weights.{name} of the question"}
    table = dataclasses.replace(table, weight=weights[name], places=places)
    return dataclasses.replace(draft, table=table)


def check_arms(path: str | Path) -> list:
    """All faults of an arms file; none if it loads."""
    try:
        load_arms(path)
    except InputError as error:
        return list(error.faults)
    return []


def remarks_of(arms: Sequence[ArmTable]) -> tuple[str, ...]:
    """What is no fault but worth knowing: overlap that nobody excludes, exclusions that may be misspelt, P
    values that no test reproduces."""
    return (*pool_remarks(arms), *exclusion_remarks(arms), *printed_remarks(arms))
