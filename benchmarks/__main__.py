"""Solvers side by side on shipped models: time, compile time and error against the reference.

`python -m benchmarks` prints one table for each case. All solvers run in one process and
materialise the same states at the same times; errors are those of the same eight patients.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pkpd.catalogue import load_model
from pkpd.cli.output import table
from pkpd.devices import compile_options, configure
from pkpd.simulation import bind, individualise, sample_patients
from pkpd.solve import ODE, AbstractSolver, ClosedForm, Daily, Multirate

TIMES = (7.0, 14.0, 28.0, 56.0, 112.0, 365.0)


class Case(NamedTuple):
    """A model under a regimen, the states to compare at times in its unit, solvers and how many patients."""

    title: str
    model: str
    regimen: str
    states: tuple[str, ...]
    times: tuple[float, ...]
    slopes: tuple[str, ...]
    solvers: tuple[tuple[AbstractSolver, int], ...]


CASES = (
    Case(
        "28 daily doses of both drugs, slow states to a year, float64, one device",
        "neuroimmunotherapy",
        "aldesleukin 3 MIU sc q24h x28 + melatonin 40 mg po q24h x28",
        ("effector.level", "memory.value", "tumour.log_ratio"),
        TIMES,
        ("aldesleukin.cl", "stimulus.ec50", "effector.kout", "tumour.kg"),
        ((Daily(), 256), (Daily(groups=4), 256), (Multirate(), 256), (ODE(rtol=1e-6, atol=1e-8), 8)),
    ),
    Case(
        "28 daily doses of melatonin, concentrations around the last, float64, one device",
        "melatonin",
        "melatonin 40 mg po q24h x28",
        ("melatonin.central_amount",),
        tuple(27 * 24.0 + np.arange(0.5, 24.5, 0.5)),
        ("melatonin.cl", "melatonin.po.ka"),
        ((ClosedForm(), 256), (Multirate(), 256), (ODE(rtol=1e-6, atol=1e-8), 8)),
    ),
)
COLUMNS = ["solver", "patients", "error", "patients/s", "compile s", "gradients/s", "compile s "]


def main() -> None:
    """Prints the tables."""
    configure(cores=1)
    for case in CASES:
        table(case.title, COLUMNS, rows(case))


def rows(case: Case) -> list[list[object]]:
    """One row for each solver."""
    model = load_model(case.model)
    events = bind(model, case.regimen)
    few = sample_patients(model, 8, 1, groups=4)
    exact = run(ODE(rtol=1e-9, atol=1e-11), model, events, few, case, repeats=0)[0]
    found = []
    for solver, count in case.solvers:
        groups = getattr(solver, "groups", 1)
        error = worst(run(solver, model, events, few, case, repeats=0)[0], exact, case.states)
        patients = sample_patients(model, count, 1, groups)
        _, compiled, seconds = run(solver, model, events, patients, case, repeats=5)
        slope, slope_compiled = gradient(solver, model, events, patients, case)
        name = type(solver).__name__ + (f" in {groups} groups" if groups > 1 else "")
        speeds = [
            f"{count / seconds:.0f}",
            f"{compiled:.1f}",
            f"{count / slope:.0f}",
            f"{slope_compiled:.1f}",
        ]
        found.append([name, count, f"{error:.1e}", *speeds])
    return found


def run(
    solver: AbstractSolver, model, events, patients, case: Case, repeats: int
) -> tuple[dict, float, float]:
    """States, seconds of the first call and of the fastest later one."""

    def states(patients) -> dict:
        found = solver.states(individualise(model, patients), events, case.times, patients.count)
        return {state: found[state] for state in case.states}

    call = jax.jit(states, compiler_options=compile_options())
    begin = time.perf_counter()
    found = jax.block_until_ready(call(patients))
    first = time.perf_counter() - begin
    return found, first, fastest(lambda: call(patients), repeats)


def gradient(solver: AbstractSolver, model, events, patients, case: Case) -> tuple[float, float]:
    """Seconds of the fastest value and gradient in a few parameters, and of the first."""

    def mean(x, patients):
        changed = model.replace({n: model.get(n) * jnp.exp(x[i]) for i, n in enumerate(case.slopes)})
        found = solver.states(individualise(changed, patients), events, case.times, patients.count)
        return found[case.states[-1]].mean()

    call = jax.jit(jax.value_and_grad(mean), compiler_options=compile_options())
    start = jnp.zeros(len(case.slopes))
    begin = time.perf_counter()
    jax.block_until_ready(call(start, patients))
    first = time.perf_counter() - begin
    return fastest(lambda: call(start, patients), 3), first


def fastest(call: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of some calls."""
    seconds = [np.inf]
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def worst(found: dict, exact: dict, states: tuple[str, ...]) -> float:
    """Largest error over patients and times, relative to max(|y|, 1e-3 max |y|)."""
    errors = []
    for state in states:
        size = np.maximum(np.abs(exact[state]), 1e-3 * np.abs(exact[state]).max(axis=0))
        errors.append(float(np.max(np.abs(found[state] - exact[state]) / np.maximum(size, 1e-9))))
    return max(errors)


if __name__ == "__main__":
    main()
