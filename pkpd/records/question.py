"""A question as written: read and checked, nothing resolved yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pkpd.arms import ArmTable, load_arms
from pkpd.catalogue import read_toml
from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.infer.settings import GATES, Settings
from pkpd.records.files import question_names, question_path

KEYS = (
    "schema",
    "title",
    "model",
    "evidence",
    "origin",
    "likelihood",
    "regimens",
    "patients",
    "predict",
    "priors",
    "set",
    "settings",
    "estimator",
    "gates",
)
LIKELIHOODS = ("joint", "product")
ESTIMATOR = {f.name: f.default for f in fields(Settings) if f.name != "gates"}


@dataclass(frozen=True)
class Question:
    """Model, evidence, regimens, priors and how to estimate, as the file says it."""

    name: str
    path: Path
    label: str
    title: str
    model: str
    evidence: str
    arms: tuple[ArmTable, ...]
    origin: str
    likelihood: str
    regimens: Mapping[str, str]
    predict: Mapping[str, str]
    priors: Mapping[str, Mapping[str, Any]]
    fixed: Mapping[str, Mapping[str, Any]]
    outcome_settings: Mapping[str, str]
    patients: tuple[int, int, int]
    estimator: Mapping[str, int]
    gates: Mapping[str, float] = field(default_factory=dict)

    @property
    def sources(self) -> list[str]:
        """Where the evidence comes from."""
        return [arm.source for arm in self.arms]

    @property
    def settings(self) -> Settings:
        """The estimator's settings."""
        return Settings(**self.estimator, gates=dict(self.gates))


def read_question(name_or_path: str | Path) -> tuple[Question, Findings]:
    """Reads a question and its evidence; what is at fault in either is replaced by nothing.

    Raises `InputError` where there is no file, or none that can be read.
    """
    path = question_path(name_or_path)
    stored = str(name_or_path) in question_names()
    label = f"fits/{name_or_path}.toml" if stored else path.as_posix()
    content = read_toml(path, label)
    findings = Findings(label)
    for key in content:
        if key not in KEYS:
            findings.add(key, "must be a known key", key, did_you_mean(key, KEYS))
    if content.get("schema") != 1:
        findings.add("schema", "must be 1", content.get("schema"))
    tables = {
        key: _table(content, key, findings) for key in ("regimens", "patients", "predict", "priors", "set")
    }
    tables |= {key: _table(content, key, findings) for key in ("settings", "estimator", "gates")}
    likelihood = _text(content, "likelihood", findings, default="joint")
    if likelihood not in LIKELIHOODS:
        findings.add(
            "likelihood", "must be joint or product", likelihood, did_you_mean(likelihood, LIKELIHOODS)
        )
    evidence = _text(content, "evidence", findings)
    arms = _evidence(path.parent, evidence, findings)
    if not tables["priors"]:
        findings.add("priors", "must name at least one free parameter")
    question = Question(
        name=str(name_or_path) if stored else path.stem,
        path=path,
        label=label,
        title=_text(content, "title", findings, default=""),
        model=_model(path.parent, _text(content, "model", findings)),
        evidence=(Path(label).parent / evidence).as_posix(),
        arms=arms,
        origin=_text(content, "origin", findings, default="0 d"),
        likelihood=likelihood,
        regimens=_texts(tables["regimens"], "regimens", findings),
        predict=_predict(tables["predict"], findings),
        priors=_tables(tables["priors"], "priors", findings),
        fixed=_tables(tables["set"], "set", findings),
        outcome_settings=_texts(tables["settings"], "settings", findings),
        patients=_patients(tables["patients"], findings),
        estimator=_numbers(tables["estimator"], ESTIMATOR, "estimator", findings, whole=True),
        gates=_numbers(tables["gates"], GATES, "gates", findings, whole=False),
    )
    return question, findings


def _model(folder: Path, name: str) -> str:
    """A model of the catalogue, or a path that starts at the question."""
    return (folder / name).as_posix() if name.endswith(".toml") else name


def _text(content: Mapping[str, Any], key: str, findings: Findings, default: str | None = None) -> str:
    value = content.get(key, default)
    if not isinstance(value, str):
        findings.add(key, "must be a text", value)
        return ""
    return value


def _table(content: Mapping[str, Any], key: str, findings: Findings) -> dict[str, Any]:
    value = content.get(key, {})
    if not isinstance(value, dict):
        findings.add(key, "must be a table", value)
        return {}
    return value


def _texts(table: Mapping[str, Any], place: str, findings: Findings) -> dict[str, str]:
    return {k: _text({f"{place}.{k}": v}, f"{place}.{k}", findings) for k, v in table.items()}


def _tables(table: Mapping[str, Any], place: str, findings: Findings) -> dict[str, dict[str, Any]]:
    return {k: _table({f"{place}.{k}": v}, f"{place}.{k}", findings) for k, v in table.items()}


def _predict(table: Mapping[str, Any], findings: Findings) -> dict[str, str]:
    found = {}
    for name, row in _tables(table, "predict", findings).items():
        for key in row:
            if key != "regimen":
                findings.add(
                    f"predict.{name}.{key}", "must be a known key", key, did_you_mean(key, ["regimen"])
                )
        found[name] = _text(
            {f"predict.{name}.regimen": row.get("regimen")}, f"predict.{name}.regimen", findings
        )
    return found


def _patients(table: Mapping[str, Any], findings: Findings) -> tuple[int, int, int]:
    defaults = {"count": 256, "seed": 1, "groups": 1}
    found = _numbers(table, defaults, "patients", findings, whole=True)
    count, groups = int(found["count"]), int(found["groups"])
    if groups >= 1 and count % groups:
        findings.add("patients.count", f"must be a multiple of groups, {groups}", count)
    return count, int(found["seed"]), groups


def _numbers(
    table: Mapping[str, Any], defaults: Mapping[str, Any], place: str, findings: Findings, whole: bool
) -> dict[str, Any]:
    for key, value in table.items():
        kinds = int if whole else (int, float)
        if key not in defaults:
            findings.add(f"{place}.{key}", "must be a known key", key, did_you_mean(key, defaults))
        elif isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < 1e9:
            rule = (
                "must be a whole number that is not negative"
                if whole
                else "must be a number that is not negative"
            )
            findings.add(f"{place}.{key}", rule, value)
        elif whole and key != "seed" and value < 1:
            findings.add(f"{place}.{key}", "must be at least 1", value)
    return {**defaults, **{k: v for k, v in table.items() if k in defaults}}


def _evidence(folder: Path, name: str, findings: Findings) -> tuple[ArmTable, ...]:
    if not name:
        return ()
    if "/" in name or "\\" in name:
        findings.add("evidence", "must be the name of a file beside the question", name)
        return ()
    try:
        return load_arms(folder / name)
    except InputError as error:
        findings.adopt(error)
        return ()
