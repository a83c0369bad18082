"""An arm's survival is told once: what is told twice would count the same deaths twice."""

from collections.abc import Sequence

from pkpd.arms.arm import Draft
from pkpd.arms.rows import Row
from pkpd.checks import Findings, did_you_mean

FORMS = ("km", "alive", "median_survival")  # from what says most to what says least


def check_survival(drafts: Sequence[Draft], findings: Findings) -> None:
    """Each arm in one form, and hazard ratios only where they add to what the arms say."""
    studies: dict[str, list[Draft]] = {}
    for draft in drafts:
        _check_forms(draft, findings)
        studies.setdefault(draft.table.study, []).append(draft)
    for study in studies.values():
        _check_ratios(study, findings)


def _told(draft: Draft) -> dict[str, Row]:
    """The forms in which an arm's survival is told, by first row, the richest form first."""
    found: dict[str, Row] = {}
    for row, endpoint in draft.entries:
        form = endpoint.outcome or endpoint.kind
        if form in FORMS and (form != "alive" or row["events"]):
            found.setdefault(form, row)
    return {form: found[form] for form in FORMS if form in found}


def _check_forms(draft: Draft, findings: Findings) -> None:
    told = list(_told(draft).values())
    for row in told[1:]:
        first = told[0]
        rule = (
            "must not tell an arm's survival twice: "
            f"{row['endpoint']} stands beside {first['endpoint']} (line {first.line})"
        )
        hint = f"Leave out {row['endpoint']}, because {first['endpoint']} says more of the same deaths."
        findings.add(row.place("endpoint"), rule, row["arm"], hint)


def _check_ratios(study: Sequence[Draft], findings: Findings) -> None:
    """Arms known relative to each other form a group; a ratio inside a group is known already.

    All arms whose survival is told in another way are one group from the start.
    """
    told = {draft.table.arm for draft in study if _told(draft)}
    group = {d.table.arm: "" if d.table.arm in told else d.table.arm for d in study}
    for draft in study:
        for row, endpoint in draft.entries:
            if endpoint.kind != "hr":
                continue
            one, other = draft.table.arm, endpoint.of
            if other == one or other not in group:
                names = [name for name in group if name != one]
                rule = "must name another arm of the study"
                findings.add(row.place("endpoint"), rule, other, did_you_mean(other, names))
            elif group[one] == group[other]:
                rule = "must not tell survival twice: other rows of the study compare the two arms"
                hint = f"Leave out {endpoint.name}, or what it repeats."
                findings.add(row.place("endpoint"), rule, f"{one} and {other}", hint)
            else:
                old, new = group[other], group[one]
                group = {name: new if label == old else label for name, label in group.items()}
