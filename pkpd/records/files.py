"""Where questions are, and what kind of file one is given."""

import re
from pathlib import Path

from pkpd.catalogue import check_model_file, read_toml, shipped
from pkpd.checks import Fault, InputError, did_you_mean, fail


def question_names() -> list[str]:
    """The stored fits, `evidence/question`."""
    folder = shipped("fits")
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.toml"))


def question_titles() -> dict[str, str]:
    """Name and title of each stored fit."""
    titles = {}
    for name in question_names():
        try:
            titles[name] = str(read_toml(question_path(name), f"fits/{name}.toml").get("title", ""))
        except InputError as error:
            titles[name] = f"cannot be read: {error}"
    return titles


def is_question(name: str) -> bool:
    """Whether a name is that of a stored fit, or a path whose TOML file has what only a question has."""
    if name in question_names():
        return True
    path = Path(name)
    try:
        marks = {"evidence", "priors", "regimens", "estimator", "settings"}
        return path.suffix == ".toml" and path.is_file() and bool(marks & set(read_toml(path, name)))
    except InputError:
        return False


def question_path(name_or_path: str | Path) -> Path:
    """The file of a stored fit or a TOML file itself; raises `InputError` if there is none."""
    text = str(name_or_path)
    if text in question_names():
        return shipped("fits") / f"{text}.toml"
    path = Path(text)
    if path.suffix != ".toml":
        raise fail(
            "fit",
            "must be a stored fit or the path of a TOML file",
            text,
            did_you_mean(text, question_names()),
        )
    if not path.is_file():
        raise fail("", "must be a file that exists", file=text)
    return path


def check_file(name: str) -> list[Fault]:
    """All faults of a model, fit, arms or records file."""
    from pkpd.arms import check_arms
    from pkpd.dosing import load_records
    from pkpd.records.resolve import load_question, resolve
    from pkpd.records.study import check_study, is_study

    path = Path(name)
    events = _is_events(path)
    if path.is_file() and path.suffix not in (".csv", ".toml"):
        rule = "must be an arms or records file (.csv), or a model, a question, a study or records (.toml)"
        return [Fault("", rule, path.suffix or "a file without an ending", file=name)]
    if name.endswith(".csv") and not events:
        return check_arms(name)
    try:
        if events:
            load_records(path)
        elif is_question(name):
            resolve(load_question(name))
        elif is_study(path):
            check_study(name)
        else:
            return check_model_file(name)
    except InputError as error:
        return list(error.faults)
    return []


def remarks_of_file(name: str) -> tuple[str, ...]:
    """What is no fault but worth knowing of the evidence in an arms or fit file without faults."""
    from pkpd.arms import load_arms, remarks_of
    from pkpd.records.resolve import load_question

    if name.endswith(".csv"):
        return () if _is_events(Path(name)) else remarks_of(load_arms(name))
    return remarks_of(load_question(name).arms) if is_question(name) else ()


def _is_events(path: Path) -> bool:
    """Whether a file is one of dose records: columns with a time and no arm, or tables `[[record]]`."""
    try:
        if path.suffix != ".csv":
            return path.suffix == ".toml" and "record" in read_toml(path, str(path))
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            names = set(re.split(r"[\s,;]+", file.readline(10_000).lower()))
        return "time" in names and not names & {"study", "arm", "endpoint"}
    except (InputError, OSError):
        return False
