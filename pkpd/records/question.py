"""A question as written: read and checked, nothing resolved yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pkpd.arms import ArmTable, read_arms
from pkpd.catalogue import read_toml
from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.infer.settings import GATES, Settings
from pkpd.records.fields import is_a, known, numbers, table, tables, text, texts
from pkpd.records.files import question_names, question_path

KEYS = (
    "schema",
    "title",
    "extends",
    "alternatives",
    "model",
    "evidence",
    "origin",
    "likelihood",
    "regimens",
    "patients",
    "predict",
    "priors",
    "studies",
    "histologies",
    "weights",
    "set",
    "settings",
    "estimator",
    "gates",
)
LIKELIHOODS = ("joint", "product")
FEWEST = 200  # examples from which an emulator may learn
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
    studies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    histologies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    overlap: bool = False
    alternatives: tuple[str, ...] = ()

    @property
    def model_path(self) -> str:
        """The name of a model in the catalogue, or the path of one, which starts at the question."""
        return (self.path.parent / self.model).as_posix() if self.model.endswith(".toml") else self.model

    @property
    def others(self) -> list[str]:
        """The questions that choose otherwise what the evidence leaves open, as names or paths."""
        folder, _, _ = self.name.rpartition("/")
        return [
            f"{folder}/{a}" if folder else str(self.path.with_name(f"{a}.toml")) for a in self.alternatives
        ]

    @property
    def sources(self) -> list[str]:
        """Where the evidence comes from."""
        return [arm.source for arm in self.arms]

    @property
    def settings(self) -> Settings:
        """The estimator's settings."""
        return Settings(**self.estimator, gates=dict(self.gates))


def read_question(name_or_path: str | Path) -> tuple[Question, Findings]:
    """Reads a question and its evidence; what is at fault in either is left out.

    Raises `InputError` where there is no file, or none that can be read.
    """
    path = question_path(name_or_path)
    stored = str(name_or_path) in question_names()
    label = f"fits/{name_or_path}.toml" if stored else path.as_posix()
    findings = Findings(label)
    content = _extended(path, read_toml(path, label), findings)
    known(content, KEYS, findings)
    told = {
        key: table(content, key, findings) for key in ("regimens", "patients", "predict", "priors", "set")
    }
    told |= {key: table(content, key, findings) for key in ("settings", "estimator", "gates")}
    told |= {key: table(content, key, findings) for key in ("studies", "histologies", "weights")}
    overlap = told["weights"].pop("overlap", False)
    is_a(overlap, bool, "true or false", "weights.overlap", findings)
    likelihood = text(content, "likelihood", findings, default="joint")
    if likelihood not in LIKELIHOODS:
        findings.add(
            "likelihood", "must be joint or product", likelihood, did_you_mean(likelihood, LIKELIHOODS)
        )
    evidence = text(content, "evidence", findings)
    evidence_label = (Path(label).parent / evidence).as_posix()
    arms = _evidence(path.parent, evidence, evidence_label, told["weights"], bool(overlap), findings)
    if not told["priors"]:
        findings.add("priors", "must name at least one free parameter")
    count, seed, groups = _patients(told["patients"], findings)
    estimator = numbers(told["estimator"], ESTIMATOR, "estimator", findings, whole=True)
    if 0 < estimator["emulate"] < FEWEST:
        findings.add("estimator.emulate", f"must be 0 or at least {FEWEST} examples", estimator["emulate"])
    question = Question(
        name=str(name_or_path) if stored else path.stem,
        path=path,
        label=label,
        title=text(content, "title", findings, default=""),
        model=text(content, "model", findings),
        evidence=evidence_label,
        arms=arms,
        origin=text(content, "origin", findings, default="0 d"),
        likelihood=likelihood,
        regimens=texts(told["regimens"], "regimens", findings),
        predict=_predict(told["predict"], findings),
        priors=tables(told["priors"], "priors", findings),
        fixed=tables(told["set"], "set", findings),
        outcome_settings=texts(told["settings"], "settings", findings),
        patients=(count, seed, groups),
        estimator=estimator,
        gates=numbers(told["gates"], GATES, "gates", findings, whole=False),
        studies=tables(told["studies"], "studies", findings),
        histologies=tables(told["histologies"], "histologies", findings),
        overlap=bool(overlap),
        alternatives=_alternatives(content, findings),
    )
    return question, findings


def _extended(path: Path, content: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    """A question and, where it is silent, the one beside it that it `extends`; its tables are merged by key.

    What is `false` in a table of its own is left out of that of the other.

    Raises `InputError` where there is no such question, or where that extends another.
    """
    name = content.get("extends")
    if name is None:
        return dict(content)
    base: Mapping[str, Any] = {}
    beside = [p.stem for p in sorted(path.parent.glob("*.toml")) if p.stem != path.stem]
    if name not in beside:
        rule = "must name another question of the same folder"
        findings.add("extends", rule, name, did_you_mean(str(name), beside))
    else:
        base = read_toml(path.with_name(f"{name}.toml"), f"{name}.toml")
    if "extends" in base:
        findings.add("extends", "must name a question that extends no other", name)
    findings.raise_if_any()
    kept = {key: v for key, v in base.items() if key != "alternatives"}
    both = {key: kept.get(key, {}) | v for key, v in content.items() if isinstance(v, dict)}
    left = {
        key: {k: v for k, v in rows.items() if v is not False or key == "weights"}
        for key, rows in both.items()
    }
    return kept | dict(content) | left


def _alternatives(content: Mapping[str, Any], findings: Findings) -> tuple[str, ...]:
    names = content.get("alternatives", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        findings.add("alternatives", "must be a list of names of questions in the same folder", names)
        return ()
    return tuple(names)


def _predict(table: Mapping[str, Any], findings: Findings) -> dict[str, str]:
    found = {}
    for name, row in tables(table, "predict", findings).items():
        place = f"predict.{name}"
        for key in row:
            if key != "regimen":
                findings.add(f"{place}.{key}", "must be a known key", key, did_you_mean(key, ["regimen"]))
        if is_a(row.get("regimen"), str, "a text", f"{place}.regimen", findings):
            found[name] = row["regimen"]
    return found


def _patients(table: Mapping[str, Any], findings: Findings) -> tuple[int, int, int]:
    defaults = {"count": 256, "seed": 1, "groups": 1}
    found = numbers(table, defaults, "patients", findings, whole=True)
    if found["count"] % found["groups"]:
        findings.add("patients.count", f"must be a multiple of groups, {found['groups']}", found["count"])
    return found["count"], found["seed"], found["groups"]


def _evidence(
    folder: Path,
    name: str,
    label: str,
    weights: Mapping[str, Any],
    overlap: bool,
    findings: Findings,
) -> tuple[ArmTable, ...]:
    if not name:
        return ()
    if "/" in name or "\\" in name:
        findings.add("evidence", "must be the name of a file beside the question", name)
        return ()
    try:
        arms, found = read_arms(folder / name, label, weights=_weights(weights, findings), overlap=overlap)
    except InputError as error:
        findings.adopt(error)
        return ()
    findings.faults.extend(found.faults)
    known = {arm.study for arm in arms} | {arm.full_name for arm in arms}
    for key in () if found.faults else weights:
        if key not in known:
            rule = "must name a study of the evidence, or an arm as study/arm"
            findings.add(f"weights.{key}", rule, key, did_you_mean(key, known))
    return arms


def _weights(table: Mapping[str, Any], findings: Findings) -> dict[str, float]:
    found = {}
    for key, value in table.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
            findings.add(f"weights.{key}", "must lie between 0 and 1", value)
        else:
            found[key] = float(value)
    return found
