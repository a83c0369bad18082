"""The part of a model that an output needs, with a state that adds the output up."""

from dataclasses import replace

import numpy as np

from pkpd.dosing.events import Events
from pkpd.model import Model
from pkpd.pd import Accumulator
from pkpd.solve.closed_form import nonlinear


class _FastAccumulator(Accumulator):
    """The integral of what fast kinetics alone make, which has an exact flow where they have one."""

    scale = "fast"


def needed_for(model: Model, output: str) -> Model:
    """The components, drugs and routes that act on an output; outcomes and what differs are left out."""
    wires = {(owner, port): sources for owner, port, sources in model.wires}
    drugs = {drug.name: drug for drug in model.drugs}
    todo, names = [output.rpartition(".")[0]], set[str]()
    while todo:
        name = todo.pop()
        if name in model.components and name not in names:
            names.add(name)
            todo += [
                s.rpartition(".")[0] for p in model.components[name].inputs for s in wires.get((name, p), ())
            ]
            todo += [f"{name}.{route}" for route in drugs[name].routes] if name in drugs else []
    return replace(
        model,
        components={name: part for name, part in model.components.items() if name in names},
        outcomes={},
        variability={},
        occasional={},
        correlations={},
        residuals={},
        wires=tuple(wire for wire in model.wires if wire[0] in names),
        order=tuple(name for name in model.order if name in names),
        drugs=tuple(drug for drug in model.drugs if drug.name in names),
        typical=tuple(row for row in model.typical if row[0][0] in names),
        effects={},
        acting=(),
    )


def doses_for(model: Model, events: Events) -> Events:
    """The doses of the drugs of a model."""
    drugs = {drug.name for drug in model.drugs}
    kept = np.array([i for i, (drug, _) in enumerate(events.route) if drug in drugs], int)
    numbers = {name: getattr(events, name)[kept] for name in ("time", "amount", "duration")}
    planned = {
        name: tuple(getattr(events, name)[i] for i in kept) for name in ("route", "lasting", "nominal")
    }
    return replace(events, **numbers, **planned, given=None if events.given is None else events.given[kept])


def area_of(output: str) -> str:
    """The state that adds an output up."""
    return f"area under {output}.total"


def accumulating(model: Model, output: str) -> Model:
    """The model and the integral of an output; its flow stays exact where it was and the output is linear."""
    fast = _with(model, output, _FastAccumulator())
    return _with(model, output, Accumulator()) if nonlinear(fast) else fast


def _with(model: Model, output: str, part: Accumulator) -> Model:
    name = area_of(output).rpartition(".")[0]
    return replace(
        model,
        components={**model.components, name: part},
        wires=(*model.wires, (name, "rate", (output,))),
        order=(*model.order, name),
    )
