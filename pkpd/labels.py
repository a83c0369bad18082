"""Labelled results: arrays with named axes and units."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def dataset(
    times: Any,
    outputs: Mapping[str, Any],
    outcomes: Mapping[str, Any],
    units: Mapping[str, str],
    time_unit: str,
) -> Any:
    """An xarray Dataset: outputs over `times` and `patients`, outcomes over `patients`."""
    import xarray

    found = {name: xarray.DataArray(np.asarray(v), dims=("times", "patients")) for name, v in outputs.items()}
    found |= {name: xarray.DataArray(np.asarray(v), dims=("patients",)) for name, v in outcomes.items()}
    for name, array in found.items():
        array.attrs["units"] = units.get(name, "1")
    result = xarray.Dataset(found, coords={"times": np.asarray(times)})
    result["times"].attrs["units"] = time_unit
    return result
