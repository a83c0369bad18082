"""The compartments of a model by number and by name, as dose records tell them."""

from collections.abc import Iterator

from pkpd.checks import did_you_mean, fail
from pkpd.model import Model


def compartments(model: Model) -> tuple[str, ...]:
    """States in the order of their numbers, from 1 on: of each drug what its routes pass through, then its
    disposition; afterwards all others."""
    drugs = [owner for drug in model.drugs for owner in (*_routes(model, drug.name), drug.name)]
    owners = [*drugs, *(name for name in sorted(model.components) if name not in drugs)]
    return tuple(f"{owner}.{s}" for owner in owners for s in model.components[owner].states)


def target(model: Model, told: str) -> str:
    """Where a dose goes: the route that leads into the compartment, else the state.

    `told` is a number, a name or the end of a name (`depot`, `central`, `po`, `drug.po.depot`); nothing or
    0 is the first compartment of the only drug. Raises `InputError` where it is none or not one.
    """
    known = compartments(model)
    if told in ("", "0"):
        if len(model.drugs) != 1:
            raise fail("", "must name a compartment, because the model has several drugs", hint=_list(model))
        return _into(model, known[0])
    if told.isdigit():
        if int(told) > len(known):
            raise fail("", f"must be a compartment from 1 to {len(known)}", int(told), _list(model))
        return _into(model, known[int(told) - 1])
    names = {**{_short(s): s for s in known}, **{s: s for s in known}}
    names |= {route: route for drug in model.drugs for route in _routes(model, drug.name)}
    found = {path for name, path in names.items() if f".{name}".endswith(f".{told}")}
    if len(found) != 1:
        rule = "must name one compartment" if found else "must be a compartment of the model"
        hint = f"Say {' or '.join(sorted(found))}." if found else did_you_mean(told, names)
        raise fail("", rule, told, hint)
    path = found.pop()
    return _into(model, path) if path in known else path


def _into(model: Model, state: str) -> str:
    """The only route whose doses enter a state, or the state itself."""
    routes = [route for drug in model.drugs for route in _routes(model, drug.name)]
    leading = [route for route in routes if model.route(*route.rsplit(".", 1))[1] == state]
    if len(leading) > 1:
        raise fail("", "must name a route, because several lead there", state, f"Say {' or '.join(leading)}.")
    return leading[0] if leading else state


def _routes(model: Model, drug: str) -> Iterator[str]:
    (found,) = (d for d in model.drugs if d.name == drug)
    return (f"{drug}.{route}" for route in found.routes)


def _short(state: str) -> str:
    return state.removesuffix("_amount")


def _list(model: Model) -> str:
    numbered = (f"{k} {_short(s)}" for k, s in enumerate(compartments(model), 1))
    return f"Compartments: {', '.join(numbered)}."
