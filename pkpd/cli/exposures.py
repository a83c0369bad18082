"""Exposure metrics of a simulated regimen, as a table and as JSON."""

from collections.abc import Sequence
from typing import Any

from pkpd.cli.output import number, table


def exposures_of(models: Sequence[Any], regimen: str, group: Any) -> dict[str, Any]:
    """Metrics of each drug that is given: of its last dosing interval, and of the course to the end of it."""
    import numpy as np

    from pkpd.exposures import exposure
    from pkpd.simulation import bind

    events = bind(models[0], regimen, group.covariates if group else None)
    found = {}
    for drug in dict.fromkeys(drug for drug, _ in events.route):
        each = [exposure(model, events, f"{drug}.central", group) for model in models]
        units, edges = dict(each[0].units), each[0].edges

        def ranges(values: list[Any], units: dict[str, str] = units) -> dict[str, Any]:
            pooled = {name: np.concatenate([np.asarray(v[name]) for v in values]) for name in units}
            spread = {name: np.quantile(v, [0.025, 0.5, 0.975]).tolist() for name, v in pooled.items()}
            return {
                name: {"unit": units[name], "median": mid, "lo95": low, "hi95": high}
                for name, (low, mid, high) in spread.items()
            }

        found[f"{drug}.central"] = {
            "start": edges[-2],
            "end": edges[-1],
            "interval": ranges([{name: v[-1] for name, v in e.values.items()} for e in each]),
            "course": ranges([e.total for e in each]) | {"start": edges[0]},
        }
    return found


def print_exposures(content: dict[str, Any]) -> None:
    """Of each drug the last dosing interval."""
    rows, unit = [], content["time_unit"]
    for name, found in content.get("exposures", {}).items():
        told = [
            f"{number(found['interval'][q]['median'])} {found['interval'][q]['unit']}"
            for q in ("auc", "cmax", "tmax", "cavg", "ctrough")
        ]
        rows.append([name, f"{found['start']:.4g} to {found['end']:.4g} {unit}", *told])
    if rows:
        columns = ["output", "from, to", "AUC", "Cmax", "Tmax", "Cavg", "trough"]
        table("Last dosing interval (median)", columns, rows)
