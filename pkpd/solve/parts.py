"""A model split by how it is solved, and what passes between the parts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pkpd.model import Model
from pkpd.solve.structure import Block, resting, structure


@dataclass(frozen=True)
class Parts:
    """States by how they are solved, each in blocks that come in order.

    `cascade` has an exact flow. `inner` needs panels within the day: the other fast states, the slow ones
    that act on them, and those into which a signal enters other than linearly. `outer` are the slow states
    that the rest drives through moments of the signals `boundary`. `kinetics` are the components before that
    boundary, `shown` the states that its signals see, `known` the states of the cascade that those or inner
    states see. An amount that enters one of the `mild` states reaches no inner state, only signals. States
    `at_rest` would be inner or outer, but stay where they start.
    """

    cascade: tuple[Block, ...]
    inner: tuple[Block, ...]
    outer: tuple[Block, ...]
    boundary: tuple[str, ...]
    kinetics: frozenset[str]
    known: tuple[str, ...]
    shown: tuple[str, ...]
    mild: frozenset[str]
    at_rest: frozenset[str]


def parts_of(model: Model, entered: Iterable[str] | None = None) -> Parts:
    """Splits a model by its structure and by what its components declare (`scale`, `linear`).

    Where doses enter the states `entered` alone, blocks that this leaves at rest are not solved.
    """
    found = structure(model)
    exact = {s for block in found.cascade for s in block.states}
    within = {s.rpartition(".")[0] for b in (*found.cascade, *found.fast) for s in b.states}
    while more := _drawn_in(model, within := followed(model, within)):
        within |= more
    kinetics = frozenset(within)
    solved = frozenset(s for s in model.states if s.rpartition(".")[0] in kinetics and s not in exact)
    still = frozenset[str]() if entered is None else resting(model, frozenset(entered))
    inner, outer = (
        tuple(b for b in found.together(names) if not still.issuperset(b.states))
        for names in (solved, frozenset(model.states) - solved - exact)
    )
    at_rest = frozenset(model.states) - exact - {s for block in (*inner, *outer) for s in block.states}
    driven = {name for block in outer for name in block.needs} if at_rest else set(model.components)
    boundary = tuple(
        sorted(
            {
                source
                for owner, _, sources in model.wires
                if owner in driven - kinetics
                for source in sources
                if source in model.outputs and source.rpartition(".")[0] in kinetics
            }
        )
    )
    felt = exact & {source for block in inner for _, source in block.inflows}
    seen = (exact | solved - at_rest) & {state for output, state in found.sources if output in boundary}
    mild = frozenset(s for s in exact if not felt & reached(found.cascade, s))
    shown, known = (tuple(s for s in model.states if s in some) for some in (seen, felt | seen & exact))
    return Parts(found.cascade, inner, outer, boundary, kinetics, known, shown, mild, at_rest)


def reached(cascade: Sequence[Block], state: str) -> set[str]:
    """States of the cascade that an amount in `state` gets to."""
    found = {state}
    for block in cascade:
        inside = set(block.states)
        if found & (inside | {s for _, s in block.inflows}):
            found |= inside
    return found


def followed(model: Model, start: set[str]) -> set[str]:
    """Components, and all that follow them at once."""
    found = set(start)
    for name in model.order:
        ports = model.components[name].direct
        sources = [s for owner, port, srcs in model.wires if owner == name and port in ports for s in srcs]
        if any(s.rpartition(".")[0] in found for s in sources):
            found.add(name)
    return found


def _drawn_in(model: Model, within: set[str]) -> set[str]:
    """Components that act on those within, or into which their signals enter other than linearly."""
    found: set[str] = set()
    for owner, port, sources in model.wires:
        part = model.components.get(owner)
        if part is None:
            continue
        makers = {s.rpartition(".")[0] for s in sources if s in model.outputs}
        if owner in within:
            found |= makers - within
        elif makers & within and port not in part.linear:
            found.add(owner)
    return found
