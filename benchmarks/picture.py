"""Patients per second against the error, one panel for each workload."""

import re
from pathlib import Path

from benchmarks.workloads import TITLES
from pkpd.plot import save
from pkpd.plot.style import BLUE, GREEN, ORANGE, VERMILION, describe, panels, styled

LOOKS = {
    "Multirate": ("o", BLUE, "Multirate"),
    "ClosedForm": ("s", GREEN, "ClosedForm"),
    "ODE": ("^", VERMILION, "ODE (diffrax)"),
    "LSODA": ("v", ORANGE, "LSODA (scipy)"),
}
CAPTION = """Each point is a setting of a solver; up and to the left is better. Errors are the largest of
eight patients, relative to an output or to a thousandth of its largest size, against the adaptive solver at
1e-10."""


@styled
def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Values on one core; a line joins the settings of a solver."""
    values = [r for r in rows if r["what"] == "value" and r["cores"] == "1" and r["error"]]
    keys = [key for key in TITLES if sum(r["workload"] == key for r in values) > 2]
    figure, axes = panels(1, len(keys), 3.6, sharey=True)
    describe(figure, "Speed against accuracy on one core", CAPTION)
    for axis, key in zip(axes[0], keys, strict=True):
        for solver, (mark, colour, label) in LOOKS.items():
            mine = [r for r in values if r["workload"] == key and r["solver"] == solver]
            points = sorted(
                (max(float(r["error"]), 1e-14), float(r["per_second"].replace(",", ""))) for r in mine
            )
            if points:
                axis.loglog(*zip(*points, strict=True), marker=mark, color=colour, label=label)
        axis.set_title(re.split("[:,]", TITLES[key])[0])
        axis.set_xlabel("largest relative error")
        axis.legend()
    axes[0][0].set_ylabel("patients per second")
    save(figure, path)
