"""How long a fit takes, with and without compiled programs at hand: `python -m benchmarks.fit`.

The quick look (starts, mode, normal approximation, checks) is timed in processes of its own, first with an
empty cache and then with what the first has left there; the whole fit is as long as its stored answer says.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pkpd.catalogue import shipped
from pkpd.devices import configure, float64
from pkpd.files import written
from pkpd.infer.fit import fit_problem
from pkpd.infer.mode import gradient_of
from pkpd.records import load_question, resolve

QUESTION = "lissoni1995/joint"
RESULT = Path(__file__).parent / "fit.json"
REPEATS = 40


def seconds_of(folder: str) -> float:
    """Seconds of a quick look in a process of its own, import and compilation included."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "benchmarks.fit", folder], check=True, capture_output=True)
    return time.perf_counter() - begin


def gradient_seconds() -> float:
    """Median seconds of the log density and its gradient."""
    with float64():
        problem = resolve(load_question(QUESTION)).problem
        gradient, x = gradient_of(problem), jnp.full(len(problem.priors), 0.1)
        times = []
        for k in range(REPEATS + 1):
            begin = time.perf_counter()
            jax.block_until_ready(gradient(problem.patients, x + 1e-3 * k))
            times.append(time.perf_counter() - begin)
    return float(np.median(times[1:]))


def told() -> list[str]:
    """The lines of the page, from what was measured last."""
    found: dict[str, Any] = json.loads(RESULT.read_text("utf-8"))
    gradient = found["gradient"]
    rows = [(f"quick look, {what} cache", found[what]) for what in ("empty", "filled")]
    rows.append(("whole fit, as its stored answer says", found["whole"]))
    lines = [f"## The fit `{QUESTION}`", ""]
    lines += [f"A gradient takes {1e3 * gradient:.0f} ms; the machine has {found['cores']} cores.", ""]
    lines += ["| what | seconds | gradients |", "|---|---|---|"]
    return lines + [f"| {what} | {seconds:,.0f} | {seconds / gradient:,.0f} |" for what, seconds in rows]


def main() -> None:
    """Measures, and writes the result whole."""
    question = load_question(QUESTION)
    if len(sys.argv) > 1:
        configure(cores=question.settings.chains, cache=sys.argv[1])
        with float64():
            fit_problem(resolve(question).problem, question.settings, quick=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {what: seconds_of(folder) for what in ("empty", "filled")}
    answer = json.loads((shipped("fits") / f"{QUESTION}.json").read_text("utf-8"))
    found |= {"whole": answer["seconds"], "gradient": gradient_seconds()}
    found["cores"] = os.cpu_count()
    with written(RESULT) as part:
        part.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
