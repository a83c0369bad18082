"""Solvers side by side on the shipped model: time, compile time and error against the reference.

`python -m benchmarks` prints one table. All solvers run in one process, on the same patients, and
materialise the slow states at the same times.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pkpd.catalogue import load_model
from pkpd.cli.output import table
from pkpd.devices import configure
from pkpd.simulation import bind, individualise, sample_patients
from pkpd.solve import ODE, AbstractSolver, Daily, FixedGrid

REGIMEN = "aldesleukin 3 MIU sc q24h x28 + melatonin 40 mg po q24h x28"
TIMES = (7.0, 14.0, 28.0, 56.0, 112.0, 365.0)
STATES = ("effector.level", "memory.value", "tumour.log_ratio")


def main() -> None:
    """Prints the table."""
    configure(cores=1)
    model = load_model("neuroimmunotherapy")
    events = bind(model, REGIMEN)
    few = sample_patients(model, 8, 1)
    exact = run(ODE(rtol=1e-9, atol=1e-11), model, events, 8, few, repeats=0)[0]
    rows = []
    for solver, count in ((Daily(), 256), (FixedGrid(), 256), (ODE(rtol=1e-6, atol=1e-8), 8)):
        error = worst(run(solver, model, events, 8, few, repeats=0)[0], exact)
        patients = sample_patients(model, count, 1)
        _, compiled, seconds = run(solver, model, events, count, patients, repeats=5)
        slope, slope_compiled = gradient(solver, model, events, count, patients)
        rows.append(
            [
                type(solver).__name__,
                count,
                f"{error:.1e}",
                f"{count / seconds:.0f}",
                f"{compiled:.1f}",
                f"{count / slope:.0f}",
                f"{slope_compiled:.1f}",
            ]
        )
    columns = ["solver", "patients", "error", "patients/s", "compile s", "gradients/s", "compile s "]
    table("28 daily doses of both drugs, slow states to a year, float64, one device", columns, rows)


def run(solver: AbstractSolver, model, events, count, patients, repeats: int) -> tuple[dict, float, float]:
    """States, seconds of the first call and of the fastest later one."""
    call = jax.jit(lambda p: solver.states(individualise(model, p), events, TIMES, count))
    begin = time.perf_counter()
    found = jax.block_until_ready(call(patients))
    first = time.perf_counter() - begin
    return found, first, fastest(lambda: call(patients), repeats)


def gradient(solver: AbstractSolver, model, events, count, patients) -> tuple[float, float]:
    """Seconds of the fastest value and gradient in four parameters, and of the first."""
    names = ("aldesleukin.cl", "stimulus.ec50", "effector.kout", "tumour.kg")

    def mean(x, patients):
        changed = model.replace({n: model.get(n) * jnp.exp(x[i]) for i, n in enumerate(names)})
        return solver.states(individualise(changed, patients), events, TIMES, count)[
            "tumour.log_ratio"
        ].mean()

    call = jax.jit(jax.value_and_grad(mean))
    begin = time.perf_counter()
    jax.block_until_ready(call(jnp.zeros(len(names)), patients))
    first = time.perf_counter() - begin
    return fastest(lambda: call(jnp.zeros(len(names)), patients), 3), first


def fastest(call: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of some calls."""
    seconds = [np.inf]
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def worst(found: dict, exact: dict) -> float:
    """Largest error over patients and times, relative to max(|y|, 1e-3 max |y|)."""
    errors = []
    for state in STATES:
        size = np.maximum(np.abs(exact[state]), 1e-3 * np.abs(exact[state]).max(axis=0))
        errors.append(float(np.max(np.abs(found[state] - exact[state]) / np.maximum(size, 1e-9))))
    return max(errors)


if __name__ == "__main__":
    main()
