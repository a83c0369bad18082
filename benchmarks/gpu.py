"""The production solvers on a GPU beside the cores of its host: `python -m benchmarks.gpu`.

Does nothing where JAX finds no GPU. Needs no installation: a machine that has JAX and the libraries of
`pyproject.toml` can run it from the source tree. Writes `gpu.csv` row by row, so that a machine lent for
minutes leaves what it measured; `make bench` tells it on its page.
"""

import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import FEW, given, solver_of, timed
from benchmarks.metric import relative
from benchmarks.workloads import TITLES
from pkpd.devices import compile_options, configure, usable_cores
from pkpd.files import written
from pkpd.solve import Multirate

TABLE = Path(__file__).parent / "gpu.csv"
USUAL = Multirate().per_day
SOLVERS = {"w1": "ClosedForm", "records": "ClosedForm"}
LONGEST = 120  # seconds of one measurement
SINGLE, DOUBLE = "float32", "float64"
COLUMNS: tuple[str, ...] = (
    "workload",
    "what",
    "precision",
    "patients",
    "on",
    "apart",
    "patients_per_second",
    "compile",
    "memory",
    "jax",
    "date",
)
EXPLAINED = """A difference is the largest of eight patients, of all outputs at all times, or of a gradient's
slopes, relative to the host's in float64 and to a thousandth of its largest; those of float32 are of the
precision."""


class Run(NamedTuple):
    """What is timed, in which precision, for how many patients, on the GPU or on the host's cores."""

    workload: str
    what: str
    precision: str
    patients: int
    platform: str


def _runs(key: str, what: str, double: int, single: int = 0) -> list[Run]:
    """The host and the GPU on 2,048 patients, then the GPU alone on more."""
    both = [Run(key, what, DOUBLE, 2048, platform) for platform in ("cpu", "cuda")]
    more = [Run(key, what, DOUBLE, double, "cuda"), Run(key, what, SINGLE, single, "cuda")]
    return both + [run for run in more if run.patients]


RUNS = (
    *_runs("shipped", "value", 262_144, 1_048_576),
    *_runs("shipped", "gradient", 65_536, 65_536),
    *_runs("w2", "value", 262_144, 262_144),
    *_runs("w1", "value", 65_536),
)


def measure(run: Run, folder: Path) -> dict[str, Any]:
    """Seconds, compile time, memory, and the distance from what the folder holds of the same."""
    name = SOLVERS.get(run.workload, "Multirate")
    cores = usable_cores() if (run.platform, run.what, name) == ("cpu", "value", "Multirate") else 1
    configure(precision=run.precision, cores=cores)
    solver = solver_of(name, USUAL, cores)
    who, function, slopes = given(run.workload, solver, run.patients)
    if run.what == "gradient":
        function = jax.grad(lambda p, x, f=function: f(p, x)[-1, -1].mean(), argnums=1)
    program, x = jax.jit(function, compiler_options=compile_options()), jnp.zeros(slopes)
    first, seconds = timed(lambda: program(who, x))
    found = program(who, x)
    few = np.asarray(found[..., :FEW] if run.what == "value" else found[:, None], float)
    known = folder / f"{run.workload}-{run.what}.npy"
    same = known.exists() and (run.what == "value" or run.patients == RUNS[0].patients)
    apart = float(relative(few, np.load(known), few.ndim - 2).max()) if same else None
    if not known.exists():
        np.save(known, few)
    return {
        "apart": apart,
        "seconds": seconds,
        "compile": first - seconds,
        "memory": _memory(),
        "on": _device(),
    }


def _memory() -> float:
    """Most MB in use, of the device where it tells, else of the process."""
    known = jax.devices()[0].memory_stats()
    return (
        known["peak_bytes_in_use"] if known else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ) / 1e6


def _device() -> str:
    kind = jax.devices()[0].device_kind
    return f"{jax.local_device_count()} of the host's cores" if kind == "cpu" else kind


def row_of(run: Run, folder: str) -> dict[str, str]:
    """A row of the table, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gpu", folder, *map(str, run)]
    own = os.environ | {"JAX_PLATFORMS": run.platform}
    row = {name: f"{v}" for name, v in run._asdict().items() if name != "platform"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=own, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return row | {"on": run.platform, "patients_per_second": f"none in {LONGEST} s"}
    except subprocess.CalledProcessError as error:
        print(error.stderr, file=sys.stderr)
        return row | {"on": run.platform, "patients_per_second": f"none, exit status {error.returncode}"}
    found = json.loads(done.stdout.splitlines()[-1])
    return row | {
        "on": found["on"],
        "apart": "" if found["apart"] is None else f"{found['apart']:.1e}",
        "patients_per_second": f"{run.patients / found['seconds']:,.0f}",
        "compile": f"{found['compile']:.1f}",
        "memory": f"{found['memory']:,.0f}",
        "jax": jax.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }


def told() -> list[str]:
    """The lines of the page, from what was measured last."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    measured = f"`python -m benchmarks.gpu`, {rows[0]['date']}, jax {rows[0]['jax']}."
    lines = ["## On a GPU", "", textwrap.fill(f"{measured} {' '.join(EXPLAINED.split())}", 118)]
    lines += [
        "",
        "| workload | what | precision | patients | on | difference | patients/s | compile s | peak MB |",
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    return lines + [f"| {' | '.join([TITLES[row['workload']], *list(row.values())[1:9]])} |" for row in rows]


def main() -> None:
    """Measures one thing for a process that asks, or all and writes the table anew after each."""
    if len(sys.argv) > 1:
        folder, key, what, precision, patients, platform = sys.argv[1:]
        print(json.dumps(measure(Run(key, what, precision, int(patients), platform), Path(folder))))
        return
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # this process looks only, those that measure share
    if jax.default_backend() == "cpu":
        print("no GPU: nothing measured")
        return
    rows: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for run in RUNS:
            rows.append(row_of(run, folder))
            print(*rows[-1].values(), flush=True)
            with written(TABLE) as part, part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    main()
