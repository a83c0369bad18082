"""One measurement in a process of its own, so that compile time and peak memory are its own too.

`python -m benchmarks.measure WORKLOAD SOLVER SETTING WHAT PATIENTS CORES FOLDER` prints one line of JSON.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import lsoda, records
from benchmarks.metric import relative
from benchmarks.workloads import WORKLOADS, Workload
from pkpd.devices import compile_options, configure
from pkpd.individuals import individualise
from pkpd.simulation import bind, signals_along
from pkpd.solve import ODE, AbstractSolver, ClosedForm, Multirate

FEW = 8  # patients whose errors are measured
LONG = 3.0  # seconds that a repeated measurement takes at least


def solver_of(name: str, setting: float, cores: int) -> AbstractSolver:
    """A solver of the package by name, at a setting."""
    if name == "Multirate":
        return Multirate(setting, cores=cores)
    return ClosedForm(cores) if name == "ClosedForm" else ODE(setting, 1e-3 * setting)


def outputs(workload: Workload, solver: AbstractSolver, count: int) -> Callable[..., Any]:
    """Outputs [outputs, times, patients] as a function of the patients and of log changes of parameters."""
    model = workload.load()
    events = bind(model, workload.regimen)

    def found(patients: Any, x: Any) -> Any:
        changed = model.replace({n: model.get(n) * jnp.exp(x[i]) for i, n in enumerate(workload.slopes)})
        own = individualise(changed, patients)
        return signals(own, events, workload, solver.states(own, events, workload.times, count), count)

    return found


def signals(own: Any, events: Any, workload: Workload, states: Any, count: int) -> Any:
    """The outputs that belong to states."""
    known = signals_along(own, events, np.asarray(workload.times), states, count)
    shape = (len(workload.times), count)
    return jnp.stack([jnp.broadcast_to(known[name], shape) for name in workload.outputs])


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the first call and of the fastest later one."""
    begin = time.perf_counter()
    jax.block_until_ready(call())
    first = time.perf_counter() - begin
    later, until = [], time.perf_counter() + LONG
    while len(later) < 3 or time.perf_counter() < until:
        begin = time.perf_counter()
        jax.block_until_ready(call())
        later.append(time.perf_counter() - begin)
    return first, min(later)


def by_lsoda(key: str, setting: float, count: int) -> tuple[Any, float]:
    """Outputs by scipy, and the seconds."""
    if key == "records":
        return records.by_lsoda(count, setting)
    workload = WORKLOADS[key]
    model = workload.load()
    own, events = individualise(model, workload.patients(model, count)), bind(model, workload.regimen)
    lsoda.states(own, events, workload.times[:2], 1, setting)
    begin = time.perf_counter()
    states = lsoda.states(own, events, workload.times, count, setting)
    return signals(own, events, workload, states, count), time.perf_counter() - begin


def given(key: str, solver: AbstractSolver, count: int) -> tuple[Any, Callable[[Any, Any], Any], int]:
    """Patients or records, outputs as a function of them and of parameters, and how many parameters."""
    if key == "records":
        return *records.observed(solver, count), len(records.SLOPES)
    workload = WORKLOADS[key]
    patients = workload.patients(workload.load(), count)
    return patients, outputs(workload, solver, count), len(workload.slopes)


def measure(key: str, name: str, setting: float, what: str, count: int, cores: int) -> dict[str, Any]:
    """Seconds, compile time, memory, and the outputs of the first patients."""
    if name == "LSODA":
        (found, seconds), compiled = by_lsoda(key, setting, count), 0.0
    else:
        who, function, slopes = given(key, solver_of(name, setting, cores), count)
        if what == "gradient":
            function = jax.value_and_grad(lambda p, x, f=function: f(p, x)[-1, -1].mean(), argnums=1)
        run = jax.jit(function, compiler_options=compile_options())
        x = jnp.zeros(slopes)
        first, seconds = timed(lambda: run(who, x))
        compiled, found = first - seconds, run(who, x)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    few = np.asarray(found)[..., :FEW] if what == "value" else None
    return {"seconds": seconds, "compile": compiled, "memory": memory, "few": few}


def main() -> None:
    """Prints the measurement; outputs of few patients go into the folder or are compared with those there."""
    key, name, setting, what, count, cores, folder = sys.argv[1:]
    configure(cores=int(cores), cache=Path(folder) / "cache" if what == "cached" else None)
    found = measure(key, name, float(setting), what, int(count), int(cores))
    few, exact = found.pop("few"), Path(folder) / f"{key}.npy"
    if few is not None and not exact.exists():
        np.save(exact, few)
    found["error"] = None if few is None else float(relative(few, np.load(exact), 1).max())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
