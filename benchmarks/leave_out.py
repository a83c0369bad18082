"""Variants of the network fit compared by what each says of a study that it was fitted without.

`python -m benchmarks.leave_out` samples every variant without each of its studies, from the mode of the
sealed answer and by one emulator of the whole fit: an hour a variant on two slow cores. What the
emulator learns from and what is sampled are kept in `.cache/fits`. The table is `leave_out.csv`, beside the
questions: a row is written when it is known, and not made again while the question is the same.
"""

import csv
import dataclasses
import sys
from collections.abc import Iterator
from functools import partial
from itertools import combinations
from pathlib import Path

from pkpd.catalogue import shipped
from pkpd.devices import configure, float64
from pkpd.files import written
from pkpd.infer.coordinates import coordinates_of
from pkpd.infer.diagnostics import summary
from pkpd.infer.emulated import sample_on, taught
from pkpd.infer.emulator import Emulator
from pkpd.infer.gates import sampling_checks, status_of
from pkpd.infer.laplace import Normal, approximate
from pkpd.infer.leave_out import Compared, Left, compare, reweighted, score_left_out, studies_of, without
from pkpd.infer.mode import gradient_of
from pkpd.infer.problem import Evaluate, Problem, evaluator
from pkpd.infer.settings import Settings
from pkpd.records import load_answer, resolve
from pkpd.store import Store

VARIANTS = ("joint", "no_potentiation", "exposure")
EVIDENCE = "lissoni_network"
KEPT = Path(".cache/fits")
TABLE = shipped("fits") / EVIDENCE / "leave_out.csv"
EXAMPLES = 2000  # for the emulator, which has less to say than the fit's
DRAWS = 600  # of each chain; the gates of the question hold
EVERY = 2  # draw is scored
COLUMNS: tuple[str, ...] = (
    "variant",
    "study",
    "digest",
    "status",
    "k",
    "rhat",
    "ess_bulk",
    "log_score",
    "error",
)

Row = dict[str, str]


def say(message: str, share: float) -> None:
    """Tells on the terminal how far a computation is."""
    print(f"{share:4.0%} {message}", flush=True)


@dataclasses.dataclass(frozen=True)
class Variant:
    """A sealed fit, and what samples its posterior without a study."""

    name: str
    digest: str
    problem: Problem
    settings: Settings
    evaluate: Evaluate
    normal: Normal
    emulator: Emulator
    store: Store

    @classmethod
    def of(cls, name: str, digest: str) -> "Variant":
        """From the sealed answer's mode, and examples of the model about it."""
        question, answer = load_answer(f"{EVIDENCE}/{name}")
        problem = resolve(question).problem
        settings = dataclasses.replace(question.settings, draws=DRAWS, emulate=EXAMPLES)
        evaluate, store = evaluator(problem), Store(KEPT / digest)
        gradient = partial(gradient_of(problem), problem.patients)
        normal = approximate(gradient, answer.mode, coordinates_of(problem, settings.seed))
        emulator = taught(problem, evaluate, normal, settings, say, store)
        return cls(name, digest, problem, settings, evaluate, normal, emulator, store)

    def row(self, study: str) -> Row:
        """What is said of a study left out; where sampling failed a gate the row says so and has no score."""
        print(f"{self.name} without {study}", flush=True)
        left = without(self.problem, study)
        moving, asked = dataclasses.replace(self.emulator, problem=left), reweighted(left, self.evaluate)
        kept = Store(self.store.folder / f"without-{study}")
        draws, emulation = sample_on(moving, asked, self.normal, self.settings, say, kept)
        found = summary(draws, self.problem.names) | {"emulator": emulation._asdict()}
        row = {"variant": self.name, "study": study, "digest": self.digest}
        row |= {"status": status_of(sampling_checks(found, self.settings)), "k": f"{emulation.pareto_k:.2f}"}
        row |= {"rhat": f"{found['rhat_max']:.4f}", "ess_bulk": f"{found['ess_bulk_min']:.0f}"}
        if row["status"] == "converged":
            scored = score_left_out(self.problem, self.evaluate, study, draws.points[:, ::EVERY])
            row |= {"log_score": f"{scored.log_score:.3f}", "error": f"{scored.error:.3f}"}
        return row


def rows_of(name: str, known: list[Row]) -> Iterator[Row]:
    """A row for each study of a variant, from the table where it is of today's question."""
    question, _ = load_answer(f"{EVIDENCE}/{name}")
    resolved = resolve(question)
    digest, variant = resolved.digest[:16], None
    done = {row["study"]: row for row in known if (row["variant"], row["digest"]) == (name, digest)}
    for study in studies_of(resolved.problem):
        if study in done:
            yield done[study]
            continue
        variant = variant or Variant.of(name, digest)
        yield variant.row(study)


def stored() -> list[Row]:
    """The rows of the table, none where there is no table."""
    if not TABLE.is_file():
        return []
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def compared(rows: list[Row]) -> list[Compared]:
    """Every two variants of which all studies have a score."""
    scores: dict[str, dict[str, Left]] = {}
    failed = {row["variant"] for row in rows if row["status"] != "converged"}
    for row in rows:
        if row["status"] == "converged":
            left = Left(float(row["log_score"]), float(row["error"]))
            scores.setdefault(row["variant"], {})[row["study"]] = left
    pairs = combinations([variant for variant in scores if variant not in failed], 2)
    return [compare((a, b), scores[a], scores[b]) for a, b in pairs]


def write(rows: list[Row]) -> None:
    """Writes the table anew."""
    with written(TABLE) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def main() -> int:
    """Fits what is missing and writes the table, anew after each row; 1 where a fit did not converge."""
    configure(cores=4, cache=True)
    known, rows = stored(), []
    with float64():
        for row in (row for variant in VARIANTS for row in rows_of(variant, known)):
            rows.append(row)
            coming = {(r["variant"], r["study"]) for r in rows}
            write(rows + [r for r in known if (r["variant"], r["study"]) not in coming])
    print("\n".join(found.words for found in compared(rows)))
    return int(any(row["status"] != "converged" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
