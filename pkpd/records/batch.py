"""Long studies: run in chunks, gone on with after whatever stopped them, collected."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pkpd.checks import Findings, fail
from pkpd.devices import float64, versions
from pkpd.files import plain, written
from pkpd.ledger import Ledger, digest_of
from pkpd.records.answer import load_answer
from pkpd.records.resolve import load_question, resolve
from pkpd.records.study import Study, code_digest
from pkpd.store import Store

if TYPE_CHECKING:
    import xarray

Progress = Callable[[str, float], None]
DECIDING = ("jax", "jaxlib", "numpy", "optimistix", "numpyro")  # whose versions are facts of a result


@runtime_checkable
class Work(Protocol):
    """What a kind of study computes."""

    def chunk(self, numbers: range, size: int) -> "xarray.Dataset":
        """Some items, by a program for `size` of them."""
        ...


def facts_of(study: Study) -> dict[str, Any]:
    """What the results of a study depend on; raises `InputError` as `asked_of` does."""
    made = versions()
    return asked_of(study) | {"code": code_digest()} | {name: made.get(name, "") for name in DECIDING}


def asked_of(study: Study) -> dict[str, Any]:
    """What is asked of which question; raises `InputError` where the fit is at fault, or has no answer where
    the study needs one."""
    facts = study.facts
    if study.answered:
        told = load_answer(study.fit)[1].content
        facts |= {"question": told["problem"]["digest"], "answer": told["draws"]["sha256"]}
    else:
        from pkpd.records.calibrated import reduced_problem

        reduced_problem(study)
        facts["question"] = resolve(load_question(study.fit)).digest
    return facts


def ledger_of(study: Study, folder: Path) -> Ledger:
    """The folder of a study; raises `InputError` as `facts_of` does."""
    return Ledger(folder, facts_of(study), study.chunks)


def run_study(study: Study, folder: Path, progress: Progress | None = None) -> int:
    """Computes the chunks that are missing and says how many they were; raises as `Ledger.fill` does."""
    say = progress or (lambda message, share: None)

    def begin() -> Callable[[int], "xarray.Dataset"]:
        say("preparing", 0.0)
        work = _work(study, Store(folder))
        return lambda chunk: work.chunk(study.numbers(chunk), study.chunk)

    def tell(done: int) -> None:
        say(f"{min(done * study.chunk, study.items)} of {study.items} items", done / study.chunks)

    with float64():
        return ledger_of(study, folder).fill(begin, tell)


def study_status(study: Study, folder: Path) -> dict[str, Any]:
    """How many chunks and items there are; raises `InputError` where the folder is another study's."""
    ledger = ledger_of(study, folder)
    if ledger.known() is not None:
        ledger.check()
    done = ledger.done()
    items = sum(len(study.numbers(chunk)) for chunk in done)
    return {"chunks": study.chunks, "done": len(done), "items": study.items, "items_done": items}


def collect_study(study: Study, folder: Path) -> tuple["xarray.Dataset", dict[str, Any]]:
    """All that is there as one data set, and what it says."""
    found = ledger_of(study, folder).all()
    with float64():
        return found, _told(study, found)


def check_sealable(study: Study, folder: Path) -> None:
    """Raises `InputError` where results cannot be stored: chunks are missing, or this is no checkout."""
    findings, done = Findings(str(folder)), study_status(study, folder)["done"]
    if done < study.chunks:
        hint = "pkpd batch resume computes the others."
        findings.add("--seal", f"must be of all {study.chunks} chunks", done, hint)
    if "_data" in study.path.absolute().parts:
        findings.add("--seal", "must be used in a checkout: stored results belong to the release")
    findings.raise_if_any()


def seal_study(study: Study, found: "xarray.Dataset", told: dict[str, Any]) -> Path:
    """Writes what a study's results say beside its file, with what was asked and their digest."""
    path = study.path.with_suffix(".json")
    content = {"asked": asked_of(study), "results": digest_of(found), **told, "made_with": versions()}
    with written(path) as part:
        text = json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False)
        part.write_text(text + "\n", "utf-8")
    return path


def load_sealed(study: Study) -> dict[str, Any]:
    """What is stored of a study; raises `InputError` where nothing is, or it was asked something else."""
    path = study.path.with_suffix(".json")
    again = f"Run it, and then: pkpd batch collect {study.path} --seal"
    try:
        content = json.loads(path.read_text("utf-8"))
        then = content["asked"]
    except (OSError, ValueError, KeyError) as error:
        raise fail("", f"must be what a study says ({error})", hint=again, file=str(path)) from error
    findings, now = Findings(str(path)), plain(asked_of(study))
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            findings.add(f"asked.{name}", "must be what is asked today", then.get(name), again)
    findings.raise_if_any()
    return content


def _work(study: Study, keep: Store) -> Work:
    if study.kind == "calibration":
        from pkpd.records.calibrated import Calibration

        return Calibration.of(study, keep)
    from pkpd.records.refits import Refits

    return Refits.of(study, keep)


TELLERS = {  # modules
    "bootstrap": "bootstrapped",
    "calibration": "calibrated",
    "influence": "influenced",
    "starts": "started",
}


def _told(study: Study, found: "xarray.Dataset") -> dict[str, Any]:
    teller = import_module(f"pkpd.records.{TELLERS[study.kind]}")
    return teller.told(study, found)
