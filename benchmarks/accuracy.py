"""How far `Multirate` is from the adaptive reference, on random draws of the priors under random regimens.

`python -m benchmarks.accuracy` asks the solver of today, goes on where it stopped, and writes `accuracy.csv`.
What the reference finds, which takes an hour and more, is stored in `references`, and asked anew where a case
has changed. With `FIRST:STEP` it does every STEP-th regimen only, so that several processes share them.

The reference is exact in its states, but integrates the hazard through a few looks a day, between which it
draws a cubic. Where it and the fine setting differ by more than that setting's limit it is asked again
through four times as many looks, so that the one that was wrong shows.
"""

import csv
import hashlib
import inspect
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.metric import relative
from pkpd.devices import compile_options, configure
from pkpd.endpoints import model_endpoints, own_course, probabilities
from pkpd.files import written
from pkpd.individuals import individualise
from pkpd.infer.problem import Problem
from pkpd.population import Patients
from pkpd.records import load_question, resolve
from pkpd.response import AbstractSurvival
from pkpd.response.joint import Endpoint
from pkpd.simulation import SAFETY, bind, course_along, course_grid
from pkpd.solve import ODE, AbstractSolver, Multirate

QUESTION = "lissoni1995/joint"
REGIMENS, DRAWS, SLOPES, SEED = 26, 8, 3, 20261126
USUAL, FINE = Multirate().per_day, 48.0
LOOKS = 4  # of the reference between two times at which outcomes look
KEPT = Path(".cache/accuracy")
REFERENCES = Path(__file__).parent / "references"
TABLE = Path(__file__).parent / "accuracy.csv"
CERTAIN = 50.0  # a cumulative hazard beyond it lets nobody live (e-22), and is not told apart from another
REFERENCE = ODE(rtol=1e-10, atol=1e-13, max_steps=100_000)


class Case(NamedTuple):
    """A regimen, times at which states are looked at besides those of the outcomes, and draws: points of the
    prior [draws, params], patients' effects [draws, effects] and a direction for slopes [params]."""

    regimen: str
    times: np.ndarray
    points: np.ndarray
    effects: np.ndarray
    direction: np.ndarray


def regimen_of(rng: np.random.Generator) -> str:
    """Both drugs at random doses and clock times, daily or twice a day, with days off or not."""
    weeks = int(rng.choice([1, 2, 4, 8, 12]))
    often = rng.choice(["q24h", "q24h", "q12h"])
    dose = float(f"{np.exp(rng.uniform(np.log(0.1), np.log(18.0))):.2g}")
    off = rng.choice(["", " on days 1-5 of 7", " on days 1-2 of 3"])
    minute = int(rng.integers(0, 12 * 60))
    apart = int(rng.choice([0, 15, 40, 300, 700]))
    clock, later = (f"{m // 60:02d}:{m % 60:02d}" for m in (minute, minute + apart))
    hormone = float(f"{rng.uniform(3.0, 60.0):.2g}")
    return (
        f"aldesleukin {dose:g} MIU sc {often} for {7 * weeks} d{off} at {clock}"
        f" + melatonin {hormone:g} mg po q24h x{7 * weeks} at {later}"
    )


def case_of(problem: Problem, index: int) -> Case:
    """The case of an index; it is the same whatever else is run."""
    rng = np.random.default_rng([SEED, index])
    regimen = regimen_of(rng)
    end, day = bind(problem.model, regimen).end, problem.model.units.day
    times = np.sort(np.concatenate([rng.uniform(0.0, end, 12), end + rng.uniform(0.0, 100.0, 4) * day]))
    counts = len(problem.names), len(problem.model.variability)
    points, effects = (rng.standard_normal((DRAWS, n)) for n in counts)
    return Case(regimen, np.round(times, 3), points, effects, rng.standard_normal(counts[0]))


def digest_of(problem: Problem, case: Case) -> str:
    """Of what decides a case: its numbers, the parameters that its draws stand for, the solvers' settings."""
    values = [jax.tree.leaves(problem.at(jnp.asarray(x))) for x in case.points]
    numbers = [case.times, case.effects, case.direction, np.asarray(values, float)]
    told = [case.regimen, repr((USUAL, FINE, SLOPES, CERTAIN, REFERENCE, problem.model.digest))]
    told += [json.dumps([f"{v:.9g}" for v in part.ravel()]) for part in numbers]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def quantities(
    problem: Problem, case: Case, solver: AbstractSolver, refine: int
) -> Callable[..., dict[str, Array]]:
    """A function of a point and a patient's effects: states, cumulative hazard [times], probabilities [1]."""
    day = problem.model.units.day
    events, alive = bind(problem.model, case.regimen), [90.0 * day, 365.0 * day]
    grid = course_grid(problem.model, events, 0.0, alive)
    between = [np.linspace(a, b, refine + 1)[:-1] for a, b in pairwise(grid)]
    looks = np.union1d(grid, case.times)
    paths = sorted(problem.model.variability)

    def found(x: Array, eta: Array) -> dict[str, Array]:
        patient = Patients({path: eta[i : i + 1] for i, path in enumerate(paths)}, 1)
        own = individualise(problem.at(x), patient)
        along = solver.along(own, events, np.union1d(looks, np.concatenate(between)).tolist(), 1)
        course = course_along(own, events, along, 0.0, 1)
        rows = np.searchsorted(along.edges, looks - 1e-9 * day)
        result = {s: v[rows, 0] for s, v in along.at.items()}
        result["tumour.size"] = jnp.exp(result.pop("tumour.log_ratio"))  # the logarithm crosses zero
        for name, part in own.outcomes.items():
            if isinstance(part, AbstractSurvival):
                hazard = part.cumulative_hazard(own_course(course, name))[rows, 0]
                result["cumulative hazard"] = jnp.minimum(hazard, CERTAIN)
        endpoints = [*model_endpoints(own), *(Endpoint("alive", t) for t in alive)]
        return result | probabilities(own, course, endpoints)

    return found


def over_draws(function: Callable[..., dict[str, Array]], case: Case) -> dict[str, np.ndarray]:
    """A function's results for all draws [draws, times]."""
    both = jnp.asarray(case.points), jnp.asarray(case.effects)
    run = jax.jit(
        lambda both: jax.lax.map(lambda one: function(*one), both), compiler_options=compile_options()
    )
    return {name: np.asarray(v) for name, v in run(both).items()}


def moved(
    function: Callable[..., dict[str, Array]], direction: np.ndarray
) -> Callable[..., dict[str, Array]]:
    """The slope of a function's results along a direction of the parameters."""

    def slope(x: Array, eta: Array) -> dict[str, Array]:
        return jax.jvp(lambda x: function(x, eta), (x,), (jnp.asarray(direction),))[1]

    return slope


def slopes_of(function: Callable[..., dict[str, Array]], case: Case) -> dict[str, np.ndarray]:
    """The same by central differences, for functions that cannot be differentiated ahead."""
    step = 1e-4
    ahead, behind = (
        over_draws(function, case._replace(points=case.points + share * case.direction))
        for share in (step, -step)
    )
    return {name: (ahead[name] - behind[name]) / (2.0 * step) for name in ahead}


def errors(
    found: dict[str, np.ndarray], exact: dict[str, np.ndarray], least: float = 1e-3
) -> dict[str, np.ndarray]:
    """Largest error over time [draws], of probabilities absolute, else relative to max(|y|, least max|y|)."""
    result = {}
    for name, value in exact.items():
        curve = value.shape[1] > 1
        gap = relative(found[name], value, 1, least) if curve else np.abs(found[name] - value)
        result[name] = gap.max(axis=1)
    return result


def solver_digest() -> str:
    """Of the solver's code, by which its results are kept."""
    folder = Path(inspect.getfile(Multirate)).parent
    code = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(code).hexdigest()[:16]


class Exact(NamedTuple):
    """What the reference finds: a regimen's values [draws, times] and slopes [few draws, times], by name."""

    values: dict[str, np.ndarray]
    slopes: dict[str, np.ndarray]


def few(case: Case) -> Case:
    """The first draws of a case, whose slopes are compared."""
    return case._replace(points=case.points[:SLOPES], effects=case.effects[:SLOPES])


def exact_of(problem: Problem, case: Case, looks: int) -> Exact:
    """Asks the reference."""
    reference = quantities(problem, case, REFERENCE, looks)
    return Exact(over_draws(reference, case), slopes_of(reference, few(case)))


def keep(exact: Exact, path: Path) -> None:
    """Writes what the reference found."""
    with written(path) as part, part.open("wb") as file:
        np.savez(
            file, **{f"{kind} {name}": v for kind, t in exact._asdict().items() for name, v in t.items()}
        )


def reference_of(index: int, digest: str) -> Path:
    """Where the reference's results of a case are."""
    return REFERENCES / f"{index}-{digest}.npz"


def kept(path: Path) -> Exact:
    """Reads it."""
    with np.load(path) as file:
        tables = (
            {key.partition(" ")[2]: file[key] for key in file if key.startswith(f"{kind} ")}
            for kind in Exact._fields
        )
        return Exact(*tables)


class Asked(NamedTuple):
    """What the solver finds at a setting, and at one that is twice as fine; slopes at the usual one."""

    found: dict[str, np.ndarray]
    finer: dict[str, np.ndarray]
    slopes: dict[str, np.ndarray]


def asked(problem: Problem, case: Case) -> dict[float, Asked]:
    """Asks the solver at two settings."""
    result = {}
    for per_day in (USUAL, FINE):
        solver = Multirate(per_day)
        function, finer = (quantities(problem, case, s, 1) for s in (solver, solver.finer()))
        usual = per_day == USUAL
        slopes = over_draws(moved(function, case.direction), few(case)) if usual else {}
        result[per_day] = Asked(over_draws(function, case), over_draws(finer, case), slopes)
    return result


def rows_of(case: Case, told: dict[float, Asked], exact: Exact, digest: str) -> list[dict[str, str]]:
    """The rows of one regimen: errors and their estimates at two settings, and of slopes at the usual one.

    Slopes are relative to the largest of their curve, because they cross zero.
    """
    rows = []
    for per_day, (found, finer, slopes) in told.items():
        estimates = {name: SAFETY * v for name, v in errors(found, finer).items()}
        tables = {"error": errors(found, exact.values), "estimate": estimates}
        tables |= {"slope": errors(slopes, exact.slopes, 1.0)} if slopes else {}
        for draw in range(DRAWS):
            row = {"regimen": case.regimen, "digest": digest, "draw": f"{draw}", "per_day": f"{per_day:g}"}
            cells = {
                f"{n}, {kind}": f"{v[draw]:.1e}"
                for kind, table in tables.items()
                for n, v in table.items()
                if draw < len(v)
            }
            rows.append(row | cells)
    return rows


def compared(problem: Problem, case: Case, path: Path, digest: str) -> list[dict[str, str]]:
    """The rows of one regimen; the reference is asked where its results are not stored, or in doubt."""
    if not path.exists():
        keep(exact_of(problem, case, LOOKS), path)
    told = asked(problem, case)
    rows = rows_of(case, told, kept(path), digest)
    if np.any(found_at(rows, FINE).worst > LIMITS[FINE]):
        keep(exact_of(problem, case, 4 * LOOKS), path)
        rows = rows_of(case, told, kept(path), digest)
    return rows


OWN = {"cumulative hazard": 3e-7, "melatonin.po.depot": 1e-6}  # errors of the reference itself, else 1e-8
LIMITS = {USUAL: 1e-4, FINE: 1e-6}


class Found(NamedTuple):
    """Of a setting: errors of each quantity, the largest of each draw, that of its probabilities [draws].

    `covered`: the share of draws whose error is the reference's own or within its estimate, by quantity.
    """

    error: dict[str, np.ndarray]
    worst: np.ndarray
    probabilities: np.ndarray
    covered: dict[str, float]


def stored() -> list[dict[str, str]]:
    """The rows of the table."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def found_at(rows: list[dict[str, str]], per_day: float) -> Found:
    """What the table says of a setting."""
    mine = [row for row in rows if float(row["per_day"]) == per_day]
    names = [key.removesuffix(", error") for key in rows[0] if key.endswith(", error")]
    error, estimate = (
        {n: np.array([float(row[f"{n}, {kind}"]) for row in mine]) for n in names}
        for kind in ("error", "estimate")
    )
    covered = {n: float(np.mean((v <= estimate[n]) | (v < OWN.get(n, 1e-8)))) for n, v in error.items()}
    chances = [v for n, v in error.items() if "." not in n and n != "cumulative hazard"]
    return Found(error, np.max(list(error.values()), axis=0), np.max(chances, axis=0), covered)


def slopes(rows: list[dict[str, str]]) -> np.ndarray:
    """The errors of all slopes in the table."""
    return np.array([float(v) for row in rows for key, v in row.items() if key.endswith(", slope") and v])


def told() -> list[str]:
    """The lines of the page."""
    rows, lines = stored(), ["## Random draws of the priors under random regimens", ""]
    lines += [f"`accuracy.csv`: {REGIMENS} regimens with {DRAWS} draws each, all states and outcomes.", ""]
    heads = (
        "panels a day",
        "median",
        "95 %",
        "worst",
        "within",
        "worst of a probability",
        "covered, at least",
    )
    lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    beyond = []
    for per_day, limit in LIMITS.items():
        found = found_at(rows, per_day)
        middle, high, most = (f"{v:.1e}" for v in np.quantile(found.worst, [0.5, 0.95, 1.0]))
        count = int(np.sum(found.worst <= limit))
        cells = [middle, high, most, f"{count} within {limit:.0e}", f"{found.probabilities.max():.1e}"]
        lines += [f"| {per_day:g} | {' | '.join(cells)} | {min(found.covered.values()):.1%} |"]
        names = [f"`{name}`" for name, v in found.error.items() if np.any(v > limit)]
        beyond += [f"Beyond at {per_day:g}: {', '.join(names)}."] if names else []
    far = f"{slopes(rows).max():.1e}"
    return [
        *lines,
        "",
        *beyond,
        f"Slopes along random directions, at {USUAL:g}: within {far} of their largest.",
    ]


def main() -> None:
    """Asks the reference and the solver what is missing, and collects the table once nothing is."""
    configure(cache=True)
    problem = resolve(load_question(QUESTION)).problem
    first, step = map(int, sys.argv[1].split(":")) if len(sys.argv) > 1 else (0, 1)
    for folder in (KEPT, REFERENCES):
        folder.mkdir(parents=True, exist_ok=True)
    cases = [case_of(problem, i) for i in range(REGIMENS)]
    digests = [digest_of(problem, case)[:16] for case in cases]
    code = solver_digest()
    tables = [KEPT / f"{i}-{digest}-{code}.json" for i, digest in enumerate(digests)]
    for i in range(first, REGIMENS, step):
        path = reference_of(i, digests[i])
        if not (tables[i].exists() and path.exists()):
            rows = compared(problem, cases[i], path, digests[i])
            with written(tables[i]) as part:
                part.write_text(json.dumps(rows))
        print(f"{i + 1} of {REGIMENS}: {cases[i].regimen}", flush=True)
    if all(table.exists() for table in tables):
        rows = [row for table in tables for row in json.loads(table.read_text())]
        with written(TABLE) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), restval="")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
