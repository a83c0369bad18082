"""Variants of the network fit compared by what each says of a study that it was fitted without.

`python -m benchmarks.leave_out` samples every variant without each of its studies, by the emulator of the
whole fit. The search and the examples that `pkpd fit --keep .cache/fits` left are used, or are made now; what
is sampled is kept too. The table is `leave_out.csv`, beside the questions.
"""

import csv
import dataclasses
import sys
from itertools import combinations
from pathlib import Path

from pkpd.catalogue import shipped
from pkpd.devices import configure, float64
from pkpd.files import written
from pkpd.infer.diagnostics import summary
from pkpd.infer.emulated import sample_on, taught
from pkpd.infer.gates import sampling_checks, status_of
from pkpd.infer.leave_out import Compared, Left, compare, reweighted, score_left_out, studies_of, without
from pkpd.infer.problem import evaluator
from pkpd.infer.search import search
from pkpd.records import load_question, resolve
from pkpd.store import Store

VARIANTS = ("joint", "no_potentiation", "exposure")
EVIDENCE = "lissoni_network"
KEPT = Path(".cache/fits")
TABLE = shipped("fits") / EVIDENCE / "leave_out.csv"
DRAWS = 400  # of each chain; the gates of the question hold
EVERY = 2  # draw is scored

Row = dict[str, str]


def say(message: str, share: float) -> None:
    """Tells on the terminal how far a computation is."""
    print(f"{share:4.0%} {message}", flush=True)


def rows_of(variant: str) -> list[Row]:
    """A row for each study of a variant; where sampling failed a gate it says which, and has no score."""
    question = load_question(f"{EVIDENCE}/{variant}")
    resolved = resolve(question)
    problem, settings = resolved.problem, dataclasses.replace(question.settings, draws=DRAWS)
    store, evaluate = Store(KEPT / resolved.digest[:16]), evaluator(problem)
    normal = search(problem, evaluate, settings, say, store).normal
    emulator = taught(problem, evaluate, normal, settings, say, store)
    rows = []
    for study in studies_of(problem):
        print(f"{variant} without {study}", flush=True)
        left = without(problem, study)
        moving = dataclasses.replace(emulator, problem=left)
        kept = Store(store.folder / f"without-{study}")
        draws, emulation = sample_on(moving, reweighted(left, evaluate), normal, settings, say, kept)
        found = summary(draws, problem.names) | {"emulator": emulation._asdict()}
        row = {"variant": variant, "study": study, "digest": resolved.digest[:16]}
        row |= {"status": status_of(sampling_checks(found, settings)), "k": f"{emulation.pareto_k:.2f}"}
        row |= {"rhat": f"{found['rhat_max']:.4f}", "ess_bulk": f"{found['ess_bulk_min']:.0f}"}
        if row["status"] == "converged":
            scored = score_left_out(problem, evaluate, study, draws.points[:, ::EVERY])
            row |= {"log_score": f"{scored.log_score:.3f}", "error": f"{scored.error:.3f}"}
        rows.append(row)
    return rows


def stored() -> list[Row]:
    """The rows of the table."""
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


def main() -> int:
    """Fits what is missing and writes the table; 1 where a fit did not converge."""
    configure(cores=4, cache=True)
    with float64():
        rows = [row for variant in VARIANTS for row in rows_of(variant)]
    names = ["variant", "study", "digest", "status", "k", "rhat", "ess_bulk", "log_score", "error"]
    with written(TABLE) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    print("\n".join(found.words for found in compared(rows)))
    return int(any(row["status"] != "converged" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
