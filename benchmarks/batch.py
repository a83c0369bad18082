"""Many fits at once beside one fit after the other: `python -m benchmarks.batch`, a few minutes.

The same replicates of one fit are refitted by scipy's BFGS, one to a thread with a compiled gradient, by
lanes of one compiled climb, and by lanes that an emulator leads. All begin a Newton step from the mode, in
coordinates in which the posterior is standard, and end at the same slope. Compilation is not counted; what
the emulator learns from is told apart.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from pkpd.devices import configure, float64, in_threads, usable_cores
from pkpd.files import written
from pkpd.infer.bootstrap import replicate, replicates
from pkpd.infer.emulated import taught_about
from pkpd.infer.items import Item, log_density_of
from pkpd.infer.mode import Mode, gradient_of
from pkpd.infer.problem import Problem, compiled
from pkpd.infer.refit import around_of, slope_of
from pkpd.records import load_answer, resolve
from pkpd.store import Store

QUESTION = "lissoni1995/joint"
RESULT = Path(__file__).parent / "batch.json"
SEED, EXAMPLES = 1995, 2000
LANES = 16  # in each thread
FLAT = 2e-4


class Way(NamedTuple):
    """Log densities where refits ended, how often each asked for a gradient, and seconds of all."""

    log_density: np.ndarray
    asked: np.ndarray
    seconds: float


def timed(refit: Callable[[Any], tuple[Any, Any]], groups: list[Any]) -> Way:
    """Of groups of replicates, a thread for each usable core, all compiled before."""
    refit(groups[0])
    begin = time.perf_counter()
    found = in_threads(refit, groups, ready=True)
    seconds = time.perf_counter() - begin
    density, asked = (np.concatenate([np.atleast_1d(each[i]) for each in found]) for i in range(2))
    return Way(density, asked, seconds)


def one_by_one(problem: Problem, mode: Mode) -> Callable[[int], tuple[float, int]]:
    """Refits a replicate by scipy."""
    around = around_of(problem, mode)
    spread = np.linalg.inv(np.linalg.cholesky(mode.hessian)).T

    def slope(problem: Problem, at: tuple[Item, Any]) -> Any:
        item, x = at
        return jax.value_and_grad(partial(log_density_of(problem), item))(x)

    make = compiled(problem, lambda problem, number: replicate(SEED, problem, around, number))
    first = compiled(problem, lambda problem, item: slope_of(problem, item, around))
    gradient = compiled(problem, slope)

    def refit(number: int) -> tuple[float, int]:
        item = make(problem.patients, jnp.asarray(number))
        centre = np.asarray(item.centre) - mode.point
        start = spread.T @ (np.asarray(first(problem.patients, item)) + centre)

        def cost(z: np.ndarray) -> tuple[float, np.ndarray]:
            value, along = gradient(problem.patients, (item, jnp.asarray(mode.point + spread @ z)))
            return -float(value), -spread.T @ np.asarray(along)

        done = minimize(cost, start, jac=True, method="BFGS", options={"gtol": FLAT})
        return -float(done.fun), int(done.nfev)

    return refit


def measured() -> dict[str, Any]:
    """Refits and gradients a second by each way, and how far their ends are apart."""
    question, answer = load_answer(QUESTION)
    problem, mode, cores = resolve(question).problem, answer.mode, usable_cores()
    numbers = np.arange(cores * LANES)
    groups = [jnp.asarray(group) for group in np.split(numbers, cores)]
    spread = np.linalg.cholesky(np.linalg.inv(mode.hessian))
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        emulator = taught_about(problem, mode.point, spread, EXAMPLES, SEED, Store(Path(folder)))
        learning = time.perf_counter() - begin
    gradient = gradient_of(problem)

    def asked(k: int) -> tuple[Any, int]:
        return gradient(problem.patients, jnp.asarray(mode.point + 1e-3 * k))[0], 1

    def lanes(refit: Any) -> Callable[[Any], tuple[Any, Any]]:
        def of(group: Any) -> tuple[Any, Any]:
            found = refit(group)
            return found.log_density, found.asked

        return of

    ways = {
        "gradients alone": timed(asked, [*range(20 * cores)]),
        "scipy, one by one": timed(one_by_one(problem, mode), [*numbers]),
        "lanes": timed(lanes(replicates(problem, mode, SEED)), groups),
        "lanes led by an emulator": timed(lanes(replicates(problem, mode, SEED, emulator)), groups),
    }
    refits = {name: way for name, way in ways.items() if name != "gradients alone"}
    best = np.max([way.log_density for way in refits.values()], axis=0)
    return {
        "cores": os.cpu_count(),
        "patients": problem.patients.count * len(problem.arms),
        "examples": EXAMPLES,
        "learning": learning,
        "ways": {
            name: {
                "refits": len(way.asked) / way.seconds if name in refits else None,
                "gradients": float(way.asked.sum() / way.seconds),
                "each": float(way.asked.mean()) if name in refits else None,
                "below_best": float(np.max(best - way.log_density)) if name in refits else None,
            }
            for name, way in ways.items()
        },
    }


def told() -> list[str]:
    """The lines of the page, from what was measured last."""
    found: dict[str, Any] = json.loads(RESULT.read_text("utf-8"))
    alone = found["ways"]["gradients alone"]["gradients"]
    lines = [f"## Many fits of `{QUESTION}`", ""]
    lines += [
        f"Replicates with redrawn counts and prior centres, {LANES} in each of {found['cores']} threads. "
        f"A gradient is of {found['patients']} patients. The emulator learnt from {found['examples']} "
        f"examples in {found['learning']:.0f} s, however many refits follow. The last column is how far "
        "below the best of the three log densities any refit ended.",
        "",
        "| how | refits/s | gradients/s | of gradients alone | gradients a refit | below the best |",
        "|---|---|---|---|---|---|",
    ]
    for name, way in found["ways"].items():
        row = [name, "", f"{way['gradients']:.1f}", f"{way['gradients'] / alone:.0%}", "", ""]
        if way["refits"]:
            row[1], row[4:] = f"{way['refits']:.2f}", [f"{way['each']:.1f}", f"{way['below_best']:.0e}"]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def main() -> None:
    """Measures, and writes the result whole."""
    configure(cache=True)
    with float64():
        found = measured()
    with written(RESULT) as part:
        part.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print("\n".join(told()))


if __name__ == "__main__":
    main()
