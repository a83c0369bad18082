"""Answers: written whole or not at all, sealed with the digest of their question."""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.checks import InputError, fail
from pkpd.files import plain, written
from pkpd.records.question import Question
from pkpd.records.resolve import Resolved, load_question, resolve

if TYPE_CHECKING:
    from pkpd.infer.fit import Fit
    from pkpd.infer.mode import Mode
    from pkpd.model import Model

DRAWS = 500


@dataclass(frozen=True)
class Answer:
    """A stored answer: its content, and draws [draws, params] on the prior's standard normal scale."""

    content: dict[str, Any]
    draws: np.ndarray
    names: tuple[str, ...]

    @property
    def mode(self) -> "Mode":
        """The mode, with its log density, gradient and curvature."""
        from pkpd.infer.mode import Mode

        told, point = self.content, np.array([self.content["mode"][path] for path in self.names])
        return Mode(point, told["log_density"], told["gradient"], np.array(told["hessian"]))


def answer_of(question: Question, resolved: Resolved, fit: "Fit") -> dict[str, Any]:
    """The JSON object of a fit."""
    from pkpd.arms import remarks_of
    from pkpd.devices import versions

    problem = fit.problem
    return {
        "status": fit.status,
        "seconds": fit.seconds,
        "estimates": fit.estimates,
        "arms": fit.arms,
        "predictions": fit.predictions,
        "prior_predictive": fit.prior_predictive,
        "log_likelihood": fit.log_likelihood,
        "log_density": fit.log_density,
        "gradient": fit.gradient,
        "diagnostics": fit.diagnostics,
        "checks": fit.checks,
        "words": fit.words,
        "directions": fit.directions,
        "remarks": list(remarks_of(question.arms)),
        "starts": fit.starts,
        "mode": dict(zip(problem.names, fit.mode.tolist(), strict=True)),
        "hessian": fit.hessian.tolist(),
        "transforms": {path: [p.family, p.centre, p.spread] for path, p in problem.priors},
        "problem": {
            "name": question.name,
            "title": question.title,
            "digest": resolved.digest,
            "model": question.model,
            "likelihood": question.likelihood,
            "patients": list(question.patients),
            "arms": len(problem.arms),
            "parameters": len(problem.priors),
        },
        "made_with": versions(),
    }


def write_answer(path: Path, answer: dict[str, Any], fit: "Fit") -> None:
    """Writes the answer and, beside it, about 500 thinned draws; nothing where a gate is not met.

    A quick look has no draws, and no command takes it for an answer.
    """
    if fit.status != "converged":
        raise fail(str(path), "must be an answer that meets its gates", fit.status)
    content = dict(answer)
    if fit.draws is not None:
        draws_path = path.with_suffix(".draws.csv")
        text = _draws_text(fit.draws, fit.problem.names)
        content["draws"] = {"file": draws_path.name, "sha256": _sha(text), "count": text.count("\n") - 1}
        _replace(draws_path, text)
    _replace(path, json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def seal(question: Question, answer: dict[str, Any], fit: "Fit") -> None:
    """Replaces the stored answer of a question."""
    if fit.draws is None:
        raise fail("--seal", "must be an answer with draws: a quick look is no answer")
    write_answer(question.path.with_suffix(".json"), answer, fit)


def load_answer(name: str, check_digest: bool = True) -> tuple[Question, Answer]:
    """A stored answer; raises `InputError` where it is missing, changed or of another question."""
    question = load_question(name)
    path = question.path.with_suffix(".json")
    refit = f"Refit with: pkpd fit {name} --seal"
    label = f"{question.label.removesuffix('.toml')}.json"
    if not path.is_file():
        raise fail("", "must be an answer that exists", hint=refit, file=label)
    try:
        content = json.loads(path.read_text("utf-8"))
        recorded, now = content["problem"]["digest"], resolve(question).digest if check_digest else None
        text = (path.parent / Path(content["draws"]["file"]).name).read_text("utf-8")
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise fail("", f"must be a whole answer ({error})", hint=refit, file=label) from error
    if now is not None and recorded != now:
        raise fail("problem.digest", "must belong to today's question", recorded[:12], refit, label)
    if _sha(text) != content["draws"]["sha256"]:
        raise fail("draws", "must be the draws that were written with the answer", hint=refit, file=label)
    rows = list(csv.reader(io.StringIO(text)))
    return question, Answer(content, np.array(rows[1:], float), tuple(rows[0]))


def posterior_models(name: str, model: "Model", count: int) -> tuple[list["Model"], float]:
    """The fitted model under up to `count` stored draws, and the origin of its outcomes.

    Where studies differ it is that of a typical one.
    Raises `InputError` where the fit is not of `model`.
    """
    import jax.numpy as jnp

    from pkpd.infer.predict import thin

    question, answer = load_answer(name)
    problem = resolve(question).problem
    if problem.model.digest != model.digest:
        raise fail("--draws", f"must be a fit of {model.name}", name, f"It is a fit of {question.model}.")
    return [problem.at(jnp.asarray(row)) for row in thin(answer.draws, count)], problem.origin


def _draws_text(draws: np.ndarray, names: Sequence[str]) -> str:
    from pkpd.infer.predict import thin

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([f"{v:.10g}" for v in row] for row in thin(draws, DRAWS))
    return buffer.getvalue()


def _replace(path: Path, text: str) -> None:
    with written(path) as part:
        part.write_text(text, "utf-8")


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
