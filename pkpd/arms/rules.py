"""Rules across arms and studies: no patient counts twice, no publication is entered twice."""

import difflib
from collections.abc import Iterable, Iterator, Sequence, Set

from pkpd.arms.arm import Draft, excluded
from pkpd.arms.printed import compared, read_printed
from pkpd.arms.sources import publications
from pkpd.arms.table import ArmTable
from pkpd.checks import Findings, did_you_mean

MOST_BESIDE = 0.5  # weight of an arm whose patients may be another arm's


def check_rules(
    drafts: Sequence[Draft], findings: Findings, overlap: bool = False, evidence: bool = True
) -> None:
    """Every rule that takes more than one arm to break.

    With `overlap` patients of a pool may count twice; arms that are no `evidence` do not count at all.
    """
    _check_studies(drafts, findings)
    _check_excluded(drafts, findings)
    if evidence:
        _check_exclusions(drafts, findings)
    if not overlap:
        _check_pools(drafts, findings)
    _check_publications(drafts, findings)
    _check_comparators(drafts, findings)


def _check_studies(drafts: Sequence[Draft], findings: Findings) -> None:
    """A study is in one pool."""
    first: dict[str, Draft] = {}
    for draft in drafts:
        before = first.setdefault(draft.table.study, draft)
        if draft.table.pool != before.table.pool:
            told = before.table.pool or "empty"
            rule = f"must be the same in all arms of a study ({told} in {before.table.place})"
            findings.add(draft.rows[0].place("pool"), rule, draft.table.pool)


def _check_excluded(drafts: Sequence[Draft], findings: Findings) -> None:
    """An arm excludes others, each by its name; they need not be in the table."""
    names = {name for d in drafts for name in (d.table.study, d.table.full_name)}
    for draft in drafts:
        for row in draft.rows:
            for name in excluded(row):
                if name in (draft.table.study, draft.table.full_name):
                    findings.add(row.place("excludes"), "must name other studies or arms", name)
                elif name not in names and (hint := _meant(name, names)):
                    findings.add(row.place("excludes"), "must be a study, or STUDY/ARM of one", name, hint)


def _meant(name: str, names: Set[str]) -> str:
    """What a name that is not in the table was to be; empty where it may be elsewhere."""
    if any(part.strip() in names for part in name.split(",")):
        return "Separate them by semicolons."
    return next((f'Did you mean "{one}"?' for one in sorted(names) if one.lower() == name.lower()), "")


def _check_exclusions(drafts: Sequence[Draft], findings: Findings) -> None:
    """Arms that contain the same patients may not both be used."""
    studies: dict[str, list[ArmTable]] = {}
    for draft in drafts:
        if draft.table.weight > 0:
            studies.setdefault(draft.table.study, []).append(draft.table)
    arms = {arm.full_name: [arm] for used in studies.values() for arm in used}
    for draft in drafts:
        own = draft.table
        cells = {name: row for row in reversed(draft.rows) for name in excluded(row)}
        for name in own.excludes if own.weight > 0 else ():
            kind = "a study" if name in studies else "an arm"
            if any(other is not own for other in studies.get(name) or arms.get(name, ())):
                rule = f"must not stand beside {kind} that it excludes, because patients would count twice"
                hint = "Leave one out, or set its weight to 0."
                findings.add(cells[name].place("excludes"), rule, f"{own.study} and {name}", hint)


def _check_pools(drafts: Sequence[Draft], findings: Findings) -> None:
    """Arms of a pool with one regimen."""
    check_pools(((draft.table, _treatment(draft.table)) for draft in drafts), "of the same regimen", findings)


def check_pools(
    arms: Iterable[tuple[ArmTable, str]], alike: str, findings: Findings, apart: bool = False
) -> None:
    """Of arms of a pool with one treatment, those of one study may weigh more than `MOST_BESIDE`.

    Each arm comes with its treatment; `alike` says in words what those of one treatment are. With `apart`
    faults of one regimen are left out, because they are told already.
    """
    groups: dict[tuple[str, str], list[ArmTable]] = {}
    for arm, treatment in arms:
        if arm.pool:
            groups.setdefault((arm.pool, treatment), []).append(arm)
    for group in groups.values():
        chief = max(group, key=lambda arm: arm.weight)
        for arm in group:
            told = apart and _treatment(arm) == _treatment(chief)
            if arm.study != chief.study and arm.weight > MOST_BESIDE and not told:
                rule = (
                    f"must be at most {MOST_BESIDE:g} beside {chief.full_name}, {alike} and with weight "
                    f"{chief.weight:g}, for patients of pool {arm.pool} may count twice"
                )
                hint = "Set weight, or in a question overlap = true in [weights] to count them knowingly."
                findings.add(arm.place_of("weight"), rule, arm.weight, hint)


def _treatment(arm: ArmTable) -> str:
    return " ".join(arm.regimen.split())


def exclusion_remarks(arms: Sequence[ArmTable]) -> Iterator[str]:
    """A line for each excluded arm that is not in the table and nearly has the name of one that is."""
    for name in dict.fromkeys(name for arm in arms for name in arm.excludes):
        study = [arm.full_name for arm in arms if arm.study == name.partition("/")[0]]
        close = difflib.get_close_matches(name, study, n=1, cutoff=0.9) if name not in study else []
        if close and name not in {arm.study for arm in arms}:
            yield f"{name} is excluded and not in the table, where {close[0]} is."


def pool_remarks(arms: Sequence[ArmTable]) -> Iterator[str]:
    """A line for each pool that joins several studies in use."""
    pools: dict[str, dict[str, None]] = {}
    for arm in arms:
        if arm.pool and arm.weight > 0:
            pools.setdefault(arm.pool, {})[arm.study] = None
    for pool, studies in pools.items():
        if len(studies) > 1:
            yield f"Pool {pool} joins {', '.join(studies)}: their patients may overlap."


def _check_publications(drafts: Sequence[Draft], findings: Findings) -> None:
    """One publication's arm may not stand in two studies, with the same numbers or with others."""
    seen: dict[tuple[object, ...], ArmTable] = {}
    for draft in drafts:
        arm = draft.table
        if not arm.weight > 0 or not arm.numbers:
            continue
        keys = list(_identities(arm))
        twin = next((seen[k] for k in keys if k in seen and seen[k].study != arm.study), None)
        if twin is not None:
            _tell_twin(draft, twin, findings)
        for key in keys:
            seen.setdefault(key, arm)


def _identities(arm: ArmTable) -> Iterator[tuple[object, ...]]:
    """What an arm of another study has too if it is this one: publication, and name or all numbers."""
    for publication in sorted(publications(arm.source)):
        yield publication, "name", arm.arm
        yield publication, "numbers", _treatment(arm), arm.n, frozenset(arm.numbers.items())


def _tell_twin(draft: Draft, twin: ArmTable, findings: Findings) -> None:
    arm = draft.table
    both = f"{arm.full_name} and {twin.full_name}"
    shared = [name for name in arm.numbers if name in twin.numbers]
    differ = [name for name in shared if arm.numbers[name] != twin.numbers[name]]
    hint = "Leave one out, or set its weight to 0."
    if arm.n != twin.n or differ:
        column, place = ("n", draft.rows[0]) if arm.n != twin.n else ("endpoint", draft.row_of(differ[0]))
        rule = f"must not contradict the same arm of the same publication ({twin.place})"
        findings.add(place.place(column), rule, both, hint)
    else:
        rule = f"must not repeat an arm of the same publication ({twin.place})"
        findings.add(draft.rows[0].place("study"), rule, both, hint)


def _check_comparators(drafts: Sequence[Draft], findings: Findings) -> None:
    """A printed P value says with which arm it compares, unless there is only one."""
    arms = [draft.table for draft in drafts]
    studies: dict[str, list[str]] = {}
    for arm in arms:
        studies.setdefault(arm.study, []).append(arm.arm)
    for draft in drafts:
        own = draft.table
        others = [name for name in studies[own.study] if name != own.arm]
        for count in own.counts:
            printed = read_printed(count.printed_p)
            place = draft.row_of(count.endpoint).place("printed_p")
            if printed and printed.against and printed.against not in others:
                hint = did_you_mean(printed.against, others)
                findings.add(place, "must name another arm of the study", printed.against, hint)
            elif printed and len(compared(own, count, arms)) > 1:
                hint = f'For instance "{count.printed_p} v {others[0]}".'
                rule = "must say with which arm of the study it compares"
                findings.add(place, rule, count.printed_p, hint)
