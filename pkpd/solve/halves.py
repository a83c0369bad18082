"""A model split into a fast and a slow half, and what passes between them."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.linalg import expm

from pkpd.checks import fail
from pkpd.model import Model
from pkpd.parameters import Scalar
from pkpd.pd import Turnover
from pkpd.solve.parts import followed
from pkpd.solve.structure import structure


@dataclass(frozen=True)
class Halves:
    """`fast` and `slow` components, their states, and the `boundary` signals from fast to slow.

    `coupled` is the slow state that acts on the fast half, if any; it belongs to the turnover pool
    `pool`, whose stimulus is the sum of `pool_drive`.
    """

    fast: frozenset[str]
    slow: frozenset[str]
    fast_states: tuple[str, ...]
    slow_states: tuple[str, ...]
    boundary: tuple[str, ...]
    coupled: str | None
    pool: str | None
    pool_drive: tuple[str, ...]

    @property
    def kinetics(self) -> frozenset[str]:
        """The fast components and the pool: what a day's table holds, and groups of patients repeat."""
        return self.fast | {self.pool or ""}

    def log_level(self, model: Model, y: dict[str, Array]) -> Scalar:
        """The log of the coupled state over its base."""
        assert self.coupled is not None
        return jnp.log(y[self.coupled] / model.get(f"{self.pool}.base"))


def halves(model: Model) -> Halves:
    """Splits a model; raises `InputError` naming the capability that is missing."""
    parts = structure(model)
    fast_states = tuple(s for b in (*parts.cascade, *parts.fast) for s in b.states)
    slow_states = tuple(s for b in parts.slow for s in b.states)
    fast = frozenset(followed(model, {s.rpartition(".")[0] for s in fast_states}))
    slow = frozenset(model.components) - fast
    boundary = _boundary(model, fast)
    coupled = _coupled(model, fast, slow)
    pool = coupled.rpartition(".")[0] if coupled else None
    drive: tuple[str, ...] = ()
    if pool is not None:
        drive = next((srcs for owner, port, srcs in model.wires if (owner, port) == (pool, "stimulus")), ())
    return Halves(fast, slow, fast_states, slow_states, boundary, coupled, pool, drive)


def lingering(model: Model, days: float = 2.0, share: float = 1e-2) -> list[str]:
    """Fast states of a concrete model of which more than a share is left after some days without a dose."""
    names = [s for b in (*structure(model).cascade, *structure(model).fast) for s in b.states]
    start = {s: jnp.asarray(v, float) for s, v in model.initial().items()}
    still = {"time": jnp.zeros(())} | {f"{d.name}.since": jnp.zeros(()) for d in model.drugs}

    def rates(values: Array) -> Array:
        change = model.derivative({**start, **dict(zip(names, values, strict=True))}, still)
        return jnp.stack([jnp.asarray(change[s], float) for s in names])

    matrix = np.asarray(jax.jacfwd(rates)(jnp.zeros(len(names)))) if names else np.zeros((0, 0))
    left = expm(matrix * days * model.units.day).max(axis=1, initial=0.0)
    return [s for s, v in zip(names, left, strict=True) if v > share]


def _boundary(model: Model, fast: frozenset[str]) -> tuple[str, ...]:
    found = []
    for owner, port, sources in model.wires:
        part = model.components.get(owner)
        signals = [s for s in sources if s in model.outputs and s.rpartition(".")[0] in fast]
        if part is None and signals:
            rule = f"must not be Daily: the outcome {owner} needs {signals[0]} within the day"
            raise fail("solver", rule, hint="Use Multirate or ODE.")
        if part is None or owner in fast:
            continue
        if signals and port not in part.linear:
            rule = (
                f"must not be Daily: the input `{port}` of `{owner}` is not affine, so it cannot be averaged"
            )
            raise fail("solver", rule, hint="Use Multirate or ODE.")
        found += signals
    return tuple(sorted(set(found)))


def _coupled(model: Model, fast: frozenset[str], slow: frozenset[str]) -> str | None:
    sources = {s.rpartition(".")[0] for owner, _, srcs in model.wires if owner in fast for s in srcs} & slow
    if not sources:
        return None
    pool = next(iter(sources))
    if len(sources) > 1 or not isinstance(model.components[pool], Turnover):
        found = ", ".join(sorted(sources))
        rule = f"must not be Daily: it takes one turnover pool at most that acts on the kinetics, not {found}"
        raise fail("solver", rule, hint="Use Multirate or ODE.")
    return f"{pool}.level"
