"""Variants of the network fit compared by what each says of a study that it was fitted without.

`python -m benchmarks.leave_out` weighs the draws of each variant's sealed answer by one over the likelihood
of each of its studies. Where the weights cannot be trusted it samples without the study, from the answer's
mode and by one emulator of the whole fit: a quarter of an hour a study on two slow cores. What the emulator
learns from and what is sampled are kept in `.cache/fits`. The table is `leave_out.csv`, beside the questions:
a row is written when it is known; one that has a score is not made again while the question is the same.
"""

import csv
import dataclasses
import sys
from functools import cached_property, partial
from itertools import combinations
from pathlib import Path

import numpy as np

from pkpd.catalogue import shipped
from pkpd.devices import configure, float64
from pkpd.files import written
from pkpd.infer.coordinates import coordinates_of
from pkpd.infer.diagnostics import summary
from pkpd.infer.emulated import sample_on, taught
from pkpd.infer.emulator import Emulator
from pkpd.infer.gates import sampling_checks, status_of
from pkpd.infer.laplace import TRUSTED, Normal, approximate
from pkpd.infer.leave_out import (
    Compared,
    Left,
    compare,
    reweighted,
    score_left_out,
    studies_of,
    weigh_left_out,
    without,
)
from pkpd.infer.mode import gradient_of
from pkpd.infer.predict import along
from pkpd.infer.problem import Evaluate, Problem, evaluator
from pkpd.infer.settings import Settings
from pkpd.records import load_answer, resolve
from pkpd.records.answer import Answer
from pkpd.store import Store

VARIANTS = ("joint", "no_potentiation", "exposure")
EVIDENCE = "lissoni_network"
KEPT = Path(".cache/fits")
TABLE = shipped("fits") / EVIDENCE / "leave_out.csv"
# Examples for the emulator, and draws of each chain: the next where a gate is missed.
EFFORTS = (2000, 600), (4000, 1500)
EVERY = 2  # draw is scored
FEWEST = 50  # draws that weights must be worth
COLUMNS: tuple[str, ...] = (
    "variant",
    "study",
    "digest",
    "by",
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


@dataclasses.dataclass
class Variant:
    """A sealed fit, and its studies one by one."""

    name: str
    digest: str
    problem: Problem
    settings: Settings
    answer: Answer
    emulators: dict[int, Emulator] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, name: str) -> "Variant":
        """From a question and its answer."""
        question, answer = load_answer(f"{EVIDENCE}/{name}")
        resolved = resolve(question)
        return cls(name, resolved.digest[:16], resolved.problem, question.settings, answer)

    @cached_property
    def evaluate(self) -> Evaluate:
        """The problem's evaluator."""
        return evaluator(self.problem)

    @cached_property
    def by_arm(self) -> np.ndarray:
        """Log probability of each arm at the answer's draws."""
        return along(self.evaluate, self.problem.patients, self.answer.draws).by_arm

    @cached_property
    def store(self) -> Store:
        """Where what takes long is kept."""
        return Store(KEPT / self.digest)

    @cached_property
    def normal(self) -> Normal:
        """The normal approximation at the answer's mode."""
        gradient = partial(gradient_of(self.problem), self.problem.patients)
        return approximate(gradient, self.answer.mode, coordinates_of(self.problem, self.settings.seed))

    def emulator(self, examples: int) -> Emulator:
        """Of the whole fit."""
        if examples not in self.emulators:
            settings = dataclasses.replace(self.settings, emulate=examples)
            found = taught(self.problem, self.evaluate, self.normal, settings, say, self.store)
            self.emulators[examples] = found
        return self.emulators[examples]

    def weighed(self, study: str) -> Row:
        """What is said of a study left out, by weights; empty where they cannot be trusted."""
        found = weigh_left_out(self.problem, study, self.by_arm)
        if found.pareto_k >= TRUSTED or found.size < FEWEST:
            return {}
        row = {"by": "weights", "status": "converged", "k": f"{found.pareto_k:.2f}"}
        return row | {"ess_bulk": f"{found.size:.0f}"} | _scored(found.left)

    def sampled(self, study: str) -> Row:
        """The same from draws of the posterior without the study; no score where they fail a gate."""
        row: Row = {}
        for examples, draws in EFFORTS:
            print(f"{self.name} without {study}", flush=True)
            row = self.sampled_by(study, examples, draws)
            if row["status"] == "converged":
                break
        return row

    def sampled_by(self, study: str, examples: int, draws: int) -> Row:
        """The same by so many draws of each chain, with an emulator that learnt from so many examples."""
        left = without(self.problem, study)
        settings = dataclasses.replace(self.settings, emulate=examples, draws=draws)
        moving = dataclasses.replace(self.emulator(examples), problem=left)
        kept, asked = Store(self.store.folder / f"without-{study}"), reweighted(left, self.evaluate)
        chains, emulation = sample_on(moving, asked, self.normal, settings, say, kept)
        found = summary(chains, self.problem.names) | {"emulator": emulation._asdict()}
        status = status_of(sampling_checks(found, settings))
        row = {"by": "sampling", "status": status, "k": f"{emulation.pareto_k:.2f}"}
        row |= {"rhat": f"{found['rhat_max']:.4f}", "ess_bulk": f"{found['ess_bulk_min']:.0f}"}
        if status != "converged":
            return row
        return row | _scored(score_left_out(self.problem, self.evaluate, study, chains.points[:, ::EVERY]))


def _scored(left: Left) -> Row:
    return {"log_score": f"{left.log_score:.3f}", "error": f"{left.error:.3f}"}


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
    """Scores what has no score, by weights first, and writes the table anew after each; 1 where a fit did not
    converge."""
    configure(cores=4, cache=True)
    with float64():
        variants = [Variant.of(name) for name in VARIANTS]
        places = {(v.name, study): v for v in variants for study in studies_of(v.problem)}
        found = {(row["variant"], row["study"]): row for row in stored() if row["log_score"]}
        found = {
            key: row for key, row in found.items() if key in places and row["digest"] == places[key].digest
        }
        for way in (Variant.weighed, Variant.sampled):
            for name, study in [key for key in places if key not in found]:
                variant = places[name, study]
                if row := way(variant, study):
                    found[name, study] = {"variant": name, "study": study, "digest": variant.digest} | row
                    write([found[key] for key in places if key in found])
    rows = [found[key] for key in places]
    print("\n".join(each.words for each in compared(rows)))
    return int(any(row["status"] != "converged" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
