"""The picture of each kind of long study."""

from typing import Any

import xarray
from matplotlib.figure import Figure

from pkpd.infer.batch import CONVERGED
from pkpd.infer.calibrate import band
from pkpd.plot.bootstrap import plot_bootstrap
from pkpd.plot.calibration import plot_calibration
from pkpd.plot.influence import plot_influence
from pkpd.plot.starts import plot_starts
from pkpd.records.calibrated import LEVEL, curves
from pkpd.records.refits import fitted
from pkpd.records.started import AGREE
from pkpd.records.study import Study


def study_picture(study: Study, found: xarray.Dataset, told: dict[str, Any]) -> Figure:
    """Of a study's results and what they say."""
    return _PICTURES[study.kind](study, found, told)


def _bootstrap(study: Study, found: xarray.Dataset, told: dict[str, Any]) -> Figure:
    _, answer = fitted(study)
    good = found["status"].values == CONVERGED
    return plot_bootstrap(answer.names, found["point"].values[good], answer.draws, answer.mode.point)


def _calibration(study: Study, found: xarray.Dataset, told: dict[str, Any]) -> Figure:
    named = curves(found)
    weighed = curves(found, "weighed") if "weighed" in found else None
    return plot_calibration(named, band(found.sizes["item"], len(named), LEVEL), LEVEL, weighed)


def _influence(study: Study, found: xarray.Dataset, told: dict[str, Any]) -> Figure:
    rows = [(row["alternative"], row["shifts"]) for row in told["alternatives"]]
    return plot_influence(fitted(study)[1].names, rows)


def _starts(study: Study, found: xarray.Dataset, told: dict[str, Any]) -> Figure:
    return plot_starts(found["log_density"].values, found["status"].values == CONVERGED, AGREE)


_PICTURES = {
    "bootstrap": _bootstrap,
    "calibration": _calibration,
    "influence": _influence,
    "starts": _starts,
}
