"""The levels of a question: which parameters differ between studies or histologies, and by how much."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pkpd.checks import Findings, did_you_mean
from pkpd.infer.arm import Arm
from pkpd.infer.levels import By, Level, Scale
from pkpd.infer.prior import Family, Prior
from pkpd.model import Model
from pkpd.parameters import Domain

KEYS = ("sd", "pooled", "reference", "why")
OF_PRIOR: Mapping[Family, Scale] = {"normal": "own", "logitnormal": "logit", "beta1": "logit"}
OF_DOMAIN: Mapping[Domain, Scale] = {"real": "own", "unit": "logit"}
TABLES: Mapping[By, str] = dict(zip(get_args(By), ("studies", "histologies"), strict=True))


def read_levels(
    model: Model,
    priors: Mapping[str, Prior],
    tables: Mapping[By, Mapping[str, Mapping[str, Any]]],
    arms: Sequence[Arm],
    findings: Findings,
) -> tuple[Level, ...]:
    """The levels without fault; faults go to `findings`.

    Deviations are on the scale on which the parameter's prior is normal, or on that of its domain.
    """
    groups: dict[By, tuple[str, ...]] = {
        "study": tuple(dict.fromkeys(arm.study for arm in arms)),
        "histology": tuple(dict.fromkeys(arm.histology for arm in arms)),
    }
    found = [
        _level(model, priors.get(path), by, path, row, groups[by], findings)
        for by, table in tables.items()
        for path, row in table.items()
    ]
    return tuple(level for level in found if level is not None)


def _level(
    model: Model,
    prior: Prior | None,
    by: By,
    path: str,
    row: Mapping[str, Any],
    groups: tuple[str, ...],
    findings: Findings,
) -> Level | None:
    place, start = f"{TABLES[by]}.{path}", len(findings.faults)
    for key in row:
        if key not in KEYS:
            findings.add(f"{place}.{key}", "must be a known key", key, did_you_mean(key, KEYS))
    sd, pooled, reference = row.get("sd"), row.get("pooled", True), row.get("reference", "")
    if isinstance(sd, bool) or not isinstance(sd, (int, float)) or not 0.0 < sd < 100.0:
        hint = "It says by how much they differ, on the scale of the deviations: 0.3 is about 30 %."
        findings.add(f"{place}.sd", "must be a number above 0 and below 100", sd, hint)
    if not isinstance(pooled, bool):
        findings.add(f"{place}.pooled", "must be true or false", pooled)
    if not isinstance(reference, str) or (reference and reference not in groups):
        known = [group for group in groups if group]
        hint = did_you_mean(str(reference), known) if known else f"The column {by} of the evidence is empty."
        findings.add(f"{place}.reference", f"must be a {by} of the evidence", reference, hint)
    if "" in groups:
        rule, hint = f"must be of arms whose {by} is known", f"Fill the column {by} of every arm."
        findings.add(place, rule, path, hint)
    scale = _scale(model, prior, path, place, findings)
    if scale is None or len(findings.faults) > start:
        return None
    assert isinstance(sd, (int, float))
    return Level(path, by, groups, float(sd), bool(pooled), str(reference), scale)


def _scale(model: Model, prior: Prior | None, path: str, place: str, findings: Findings) -> Scale | None:
    """On which scale a parameter deviates; a fault where a bare number could not say by how much."""
    declared = model.declared.get(path)
    if declared is None:
        findings.add(place, "must be a parameter of the model", path, did_you_mean(path, model.declared))
        return None
    scale = OF_PRIOR.get(prior.family, "log") if prior else OF_DOMAIN.get(declared.domain, "log")
    if scale == "own" and declared.dimension != "1":
        rule = "must have no unit, or a prior that makes its deviations relative"
        findings.add(place, rule, path, "Give it a lognormal prior.")
    return scale
