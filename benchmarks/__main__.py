"""Solvers side by side in one run: `python -m benchmarks` writes the table, the picture and `README.md`.

`python -m benchmarks w1 records` measures these workloads and keeps the rows of the others.
Each measurement has a process of its own. All get the same patients and give the same outputs at the same
times; errors are those of the first eight patients against the adaptive solver at a tolerance of 1e-10.
"""

import csv
import json
import platform
import subprocess
import sys
import tempfile
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from benchmarks import accuracy, batch, fit, gpu
from benchmarks.picture import draw
from benchmarks.workloads import TITLES
from pkpd.devices import versions
from pkpd.files import written
from pkpd.solve import Multirate

FOLDER = Path(__file__).parent
REFERENCE = ("ODE", 1e-10, "value", 8, 1)
COLUMNS = (
    "workload",
    "solver",
    "setting",
    "what",
    "patients",
    "cores",
    "error",
    "per_second",
    "compile",
    "memory",
)


EXPLAINED = """Every row is a process of its own; workloads may be of different days. The setting of Multirate
is its panels a day, that of ODE (diffrax) and LSODA (scipy, on the same compiled derivative) their relative
tolerance. The error is the largest of eight patients, of all outputs at all times, relative to the output or
to a thousandth of its largest size, against ODE at 1e-10. A gradient is value and gradient in four
parameters; `cached` is a value whose program may come from the cache on disk, first written, then read."""


class Run(NamedTuple):
    """A solver at a setting, what is timed, for how many patients, on how many cores."""

    solver: str
    setting: float
    what: str
    patients: int
    cores: int


USUAL = Multirate().per_day
PEERS = (
    *(Run("ODE", rtol, "value", 16, 1) for rtol in (1e-4, 1e-6, 1e-8)),
    *(Run("LSODA", rtol, "value", 8, 1) for rtol in (1e-4, 1e-6, 1e-8)),
)
MULTIRATE = (
    *(Run("Multirate", n, "value", 2048, 1) for n in (USUAL / 2.0, USUAL, 2.0 * USUAL, 4.0 * USUAL)),
    Run("Multirate", USUAL, "value", 2048, 2),
    Run("Multirate", USUAL, "gradient", 2048, 1),
    Run("Multirate", USUAL, "gradient", 2048, 2),
    Run("Multirate", USUAL, "gradient", 128, 1),
    Run("Multirate", USUAL, "cached", 2048, 1),
    Run("Multirate", USUAL, "cached", 2048, 1),
)
RUNS = {
    "w1": (
        Run("ClosedForm", 0.0, "value", 10_000, 1),
        Run("ClosedForm", 0.0, "value", 10_000, 2),
        Run("ClosedForm", 0.0, "gradient", 2048, 1),
        *PEERS,
    ),
    "w2": (*MULTIRATE, *PEERS),
    "shipped": (*MULTIRATE, Run("ODE", 1e-6, "gradient", 8, 1), *PEERS),
    "shipped84": (Run("Multirate", USUAL, "value", 2048, 1), Run("ODE", 1e-6, "value", 8, 1)),
    "records": (
        Run("ClosedForm", 0.0, "value", 10_000, 1),
        Run("ClosedForm", 0.0, "gradient", 10_000, 1),
        *PEERS,
    ),
}


def main() -> None:
    """Measures, then writes the results whole."""
    chosen = sys.argv[1:] or list(RUNS)
    if strange := [key for key in chosen if key not in RUNS]:
        raise SystemExit(f"{', '.join(strange)}: must be of {', '.join(RUNS)}.")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for key, runs in RUNS.items():
            if key not in chosen:
                rows += [row for row in kept() if row["workload"] == key]
                continue
            measured(key, Run(*REFERENCE), folder)
            for run in runs:
                rows.append(row_of(key, run, measured(key, run, folder)))
                print(*rows[-1].values(), flush=True)
    with written(FOLDER / "speed.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, FOLDER / "speed.png")
    with written(FOLDER / "README.md") as part:
        part.write_text(page(rows), encoding="utf-8")


def kept() -> list[dict[str, str]]:
    """The rows of the last table."""
    with (FOLDER / "speed.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def measured(key: str, run: Run, folder: str) -> dict[str, float | None]:
    """One measurement, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.measure", key, *map(str, run), folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def row_of(key: str, run: Run, found: dict[str, float | None]) -> dict[str, str]:
    """A row of the table."""
    seconds, error = found["seconds"], found["error"]
    assert seconds is not None
    numbers = {
        "error": "" if error is None else f"{error:.1e}",
        "per_second": f"{run.patients / seconds:,.0f}"
        if seconds < run.patients
        else f"{run.patients / seconds:.2g}",
        "compile": f"{found['compile']:.1f}",
        "memory": f"{found['memory']:.0f}",
    }
    return (
        {"workload": key}
        | {name: f"{v:g}" if isinstance(v, float) else f"{v}" for name, v in run._asdict().items()}
        | numbers
    )


def page(rows: list[dict[str, str]]) -> str:
    """The page: what was measured on what, and a table for each workload."""
    now = datetime.now(UTC).date().isoformat()
    known = versions()
    chosen = ", ".join(
        f"{name} {known[name]}" for name in ("python", "jax", "diffrax", "scipy") if name in known
    )
    lines = [
        "# Speed and accuracy, side by side",
        "",
        "Written by `make bench`; `peers.md` tells how to time mrgsolve and rxode2 on the same workloads.",
        "",
        "![Patients per second against the error](speed.png)",
        "",
        textwrap.fill(f"{now}, {processor()}; {chosen}; float64. {' '.join(EXPLAINED.split())}", 118),
    ]
    for key in RUNS:
        lines += ["", f"## {TITLES[key]}", ""]
        lines += ["| solver | setting | what | patients | cores | error | patients/s | compile s | peak MB |"]
        lines += ["|---|---|---|---|---|---|---|---|---|"]
        lines += [f"| {' | '.join(list(row.values())[1:])} |" for row in rows if row["workload"] == key]
    lines += ["", *fit.told()] if fit.RESULT.is_file() else []
    lines += ["", *batch.told()] if batch.RESULT.is_file() else []
    lines += ["", *gpu.told()] if gpu.TABLE.is_file() else []
    lines += ["", *accuracy.told()] if accuracy.TABLE.is_file() else []
    return "\n".join(lines) + "\n"


def processor() -> str:
    """The processor's own name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
