"""How fast schedules are optimised beside how fast patients are simulated: `python -m benchmarks.decisions`.

The 28 daily amounts of a course are optimised under 200 draws of the stored posterior, by gradients through
the schedule; ten schedules are held side by side under 1,000. A patient is one virtual patient under one draw
and one schedule. The rates of the table of `make bench` are measured anew before and after, in a process of
their own, because other programs may share the machine.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pkpd.checks import Findings
from pkpd.devices import configure, float64, usable_cores
from pkpd.dosing import Regimen
from pkpd.endpoints import endpoint_of
from pkpd.explore.chances import Chances, thinned
from pkpd.explore.climb import climb
from pkpd.explore.exposed import Exposed
from pkpd.explore.goal import Goal
from pkpd.explore.limits import read_limit
from pkpd.explore.space import space_of
from pkpd.explore.trials import Trials
from pkpd.infer.problem import Problem
from pkpd.records import load_answer, resolve
from pkpd.simulation import bind

QUESTION = "lissoni1995/joint"
BASE = "aldesleukin 3 MIU sc q24h x28 + melatonin 40 mg po q24h x28"
VARY = "aldesleukin.amounts 0.1..9 MIU"
LIMIT = "aldesleukin.total <= 84 MIU"
OUTCOME = "alive(365 d)"
DRAWS, PATIENTS, STEPS, AT_ONCE = 200, 128, 4, 4
SCHEDULES, MANY, CROWD = 10, 1000, 256


class Amounts:
    """The 28 amounts of a course under draws."""

    def __init__(self, problem: Problem, points: Any):
        found, model = Findings(), problem.model
        space = space_of(model, Regimen.parse(BASE), [VARY], found)
        limit, end = read_limit(model, LIMIT, found), endpoint_of(model, OUTCOME)
        found.raise_if_any()
        assert space is not None
        assert limit is not None
        self.course = bind(model, BASE)
        self.chances = Chances(problem, thinned(points, DRAWS), [end])
        exposed = Exposed(self.chances)
        self.trials = Trials(model, space, Goal(), end, (limit,), self.chances, exposed)

    def rate(self, what: str, call: Callable[[], Any]) -> float:
        """Patients a second of a call, compiled before."""
        asked, begin = self.chances.asked[what], time.perf_counter()
        call()
        done = self.chances.asked[what] - asked
        return done * self.chances.patients.count / (time.perf_counter() - begin)

    def rates(self) -> dict[str, float]:
        """Patients a second of values, of slopes by all amounts, and of a climb."""
        self.chances.values([self.course])
        self.chances.slopes(self.course)
        climb(self.trials, self.trials.space.start, 1)
        return {
            "values": self.rate("values", lambda: self.chances.values([self.course] * AT_ONCE)),
            "slopes": self.rate("slopes", lambda: self.chances.slopes(self.course)),
            "climb": self.rate("slopes", lambda: climb(self.trials, self.trials.space.start, STEPS)),
        }


def compared(problem: Problem, points: np.ndarray) -> float:
    """Patients a second of schedules side by side, compiled before; of fewer draws some come again."""
    problem = dataclasses.replace(problem, patients=problem.crowd(CROWD, 0))
    texts = [BASE.replace("3 MIU", f"{k + 1} MIU") for k in range(SCHEDULES)]
    courses = [bind(problem.model, text) for text in texts]
    chances = Chances(
        problem, np.resize(points, (MANY, points.shape[1])), [endpoint_of(problem.model, OUTCOME)]
    )
    chances.foresee(courses)
    chances.under(points[: chances.size]).values(courses[:1])
    begin = time.perf_counter()
    chances.values(courses)
    return SCHEDULES * MANY * CROWD / (time.perf_counter() - begin)


def plain(what: str) -> float:
    """Patients a second of the shipped model as `make bench` measures them, on all cores."""
    with tempfile.TemporaryDirectory() as folder:
        cores = str(usable_cores())
        words = ["benchmarks.measure", "shipped", "Multirate", "12", what, "2048", cores, folder]
        done = subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True, text=True)
    return 2048.0 / float(json.loads(done.stdout)["seconds"])


def told(rates: dict[str, float], bench: dict[str, list[float]]) -> list[str]:
    """Lines of a table."""
    pairs = {"values": "value", "schedules": "value", "slopes": "gradient", "climb": "gradient"}
    lines = ["| what | patients/s | plain simulation | share |", "|---|---|---|---|"]
    for what, beside in pairs.items():
        mean = sum(bench[beside]) / len(bench[beside])
        spread = " to ".join(f"{v:,.0f}" for v in sorted(bench[beside]))
        lines.append(f"| {what} | {rates[what]:,.0f} | {spread} ({beside}) | {rates[what] / mean:.0%} |")
    return lines


def main() -> None:
    """Measures and prints."""
    configure(cache=True)
    bench = {what: [plain(what)] for what in ("value", "gradient")}
    with float64():
        question, answer = load_answer(QUESTION)
        problem = resolve(question).problem
        problem = dataclasses.replace(problem, patients=problem.crowd(PATIENTS, 0))
        rates = Amounts(problem, answer.draws).rates()
        rates["schedules"] = compared(problem, answer.draws)
    for what, found in bench.items():
        found.append(plain(what))
    print(f"{DRAWS} draws, {PATIENTS} patients, {usable_cores()} cores, {Path(__file__).stem}")
    print("\n".join(told(rates, bench)))


if __name__ == "__main__":
    main()
