"""Variants of the network fit compared by what each says of a study that it was fitted without.

`python -m benchmarks.leave_out` fits every variant without each of its studies, goes on where it stopped, and
writes `leave_out.csv` beside the questions.
"""

import csv
import hashlib
import sys
from itertools import combinations
from pathlib import Path

import numpy as np

from pkpd.catalogue import shipped
from pkpd.devices import configure, float64
from pkpd.files import written
from pkpd.infer.fit import fit_problem
from pkpd.infer.leave_out import Compared, Left, compare, score_left_out, studies_of, without
from pkpd.infer.predict import thin
from pkpd.records import Question, Resolved, load_question, resolve
from pkpd.store import Store

VARIANTS = ("joint", "no_potentiation", "exposure")
EVIDENCE = "lissoni_network"
KEPT = Path(".cache/leave_out")
TABLE = shipped("fits") / EVIDENCE / "leave_out.csv"
DRAWS = 1000


def key_of(digest: str, study: str) -> str:
    """What a fit without a study is kept under."""
    return hashlib.sha256(f"{digest} without {study}".encode()).hexdigest()[:16]


def fitted(question: Question, resolved: Resolved, study: str, store: Store) -> np.ndarray | str:
    """Draws of the question without a study, kept or sampled; the status where that fails."""
    key = key_of(resolved.digest, study)
    if kept := store.read(key):
        return kept[0]

    def say(message: str, share: float) -> None:
        print(f"{question.name} without {study}, {share:.0%}: {message}", flush=True)

    sampling = Store(store.folder / f"{key}-sampling")
    fit = fit_problem(without(resolved.problem, study), question.settings, (), False, say, sampling)
    if fit.draws is None or fit.status != "converged":
        return fit.status
    draws = thin(fit.draws, DRAWS)
    store.write(key, [draws])
    return draws


def rows_of(variant: str, store: Store) -> list[dict[str, str]]:
    """A row for each study of a variant; a fit that does not converge has a status and no score."""
    question = load_question(f"{EVIDENCE}/{variant}")
    rows = []
    with float64():
        resolved = resolve(question)
        for study in studies_of(resolved.problem):
            row = {"variant": variant, "study": study, "digest": resolved.digest[:16]}
            draws = fitted(question, resolved, study, store)
            if isinstance(draws, str):
                rows.append(row | {"status": draws})
                continue
            left = score_left_out(resolved.problem, study, draws, question.settings.seed)
            scores = {"log_score": f"{left.log_score:.3f}", "error": f"{left.error:.3f}"}
            rows.append(row | {"status": "converged"} | scores)
    return rows


def stored() -> list[dict[str, str]]:
    """The rows of the table."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def compared(rows: list[dict[str, str]]) -> list[Compared]:
    """Every two variants of which all studies have a score."""
    scores: dict[str, dict[str, Left]] = {}
    for row in rows:
        if row["status"] == "converged":
            left = Left(float(row["log_score"]), float(row["error"]))
            scores.setdefault(row["variant"], {})[row["study"]] = left
    pairs = combinations(scores, 2)
    return [compare((a, b), scores[a], scores[b]) for a, b in pairs if set(scores[a]) == set(scores[b])]


def main() -> int:
    """Fits what is missing and writes the table; 1 where a fit did not converge."""
    configure(cores=4, cache=True)
    rows = [row for variant in VARIANTS for row in rows_of(variant, Store(KEPT))]
    names: list[str] = ["variant", "study", "digest", "status", "log_score", "error"]
    with written(TABLE) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    print("\n".join(found.words for found in compared(rows)))
    return int(any(row["status"] != "converged" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
