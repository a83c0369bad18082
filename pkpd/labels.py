"""Labelled results: arrays with named axes and units."""

from collections.abc import Mapping, Sequence
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


def interval_dataset(
    output: str,
    edges: Sequence[float],
    values: Mapping[str, Any],
    total: Mapping[str, Any],
    units: Mapping[str, str],
    time_unit: str,
) -> Any:
    """An xarray Dataset of an output: quantities over `intervals`, with their `start` and `end`, and
    `patients`; those of all intervals together, `total_...`, over `patients`."""
    import xarray

    found = {}
    for name, v in values.items():
        named = {"units": units[name]}
        found[name] = xarray.DataArray(np.asarray(v), dims=("intervals", "patients"), attrs=named)
        found[f"total_{name}"] = xarray.DataArray(np.asarray(total[name]), dims=("patients",), attrs=named)
    bounds = {"start": np.asarray(edges[:-1]), "end": np.asarray(edges[1:])}
    coords = {
        name: xarray.DataArray(v, dims=("intervals",), attrs={"units": time_unit})
        for name, v in bounds.items()
    }
    return xarray.Dataset(found, coords=coords, attrs={"output": output})
