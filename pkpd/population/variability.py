"""Random effects: how far the parameters of a patient, or of one of his occasions, are from typical ones."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from pkpd.parameters import Scalar

SPREADS = {"lognormal": "log ", "normal": "", "logit": "logit "}  # what the effects are of, in words
_JOIN = "~"


def varied(value: Any, form: str, effect: Any) -> Array:
    """A value moved by an effect on its scale: `lognormal`, the logarithm; `normal`, itself; `logit`."""
    if form == "normal":
        return jnp.asarray(value + effect)
    ratio = jnp.exp(effect)
    return value * ratio if form == "lognormal" else value * ratio / (1.0 - value + value * ratio)


def pair_of(first: str, second: str) -> str:
    """The name of a correlation of two effects."""
    return _JOIN.join(sorted((first, second)))


def correlated(
    effects: Mapping[str, Array | np.ndarray], correlations: Mapping[str, Scalar], order: Sequence[str]
) -> dict[str, Array | np.ndarray]:
    """Effects with correlations from independent ones, by the factor of Cholesky of each block.

    Those earlier in `order` stay as they are as far as they can: the first of each block does.
    """
    found = dict(effects)
    for block in _blocks(correlations, effects):
        paths = sorted(block, key=order.index)
        factor: list[list[Array]] = []
        for i, path in enumerate(paths):
            row: list[Array] = []
            for j in range(i):
                known = sum((row[k] * factor[j][k] for k in range(j)), jnp.zeros(()))
                given = correlations.get(pair_of(path, paths[j]), 0.0)
                row.append((given - known) / factor[j][j])
            row.append(jnp.sqrt(1.0 - sum((v * v for v in row), jnp.zeros(()))))
            factor.append(row)
            found[path] = sum((v * effects[p] for v, p in zip(row, paths, strict=False)), jnp.zeros(()))
    return found


def unsound(correlations: Mapping[str, float]) -> list[tuple[tuple[str, ...], float]]:
    """Blocks whose matrix is not positive definite, each with its smallest eigenvalue."""
    found = []
    for block in _blocks(correlations, {p for pair in correlations for p in pair.split(_JOIN)}):
        paths = sorted(block)
        matrix = np.array([[correlations.get(pair_of(p, q), float(p == q)) for q in paths] for p in paths])
        least = float(np.linalg.eigvalsh(matrix).min())
        if least <= 1e-12:
            found.append((tuple(paths), least))
    return found


def _blocks(correlations: Mapping[str, Scalar], paths: Collection[str]) -> list[set[str]]:
    """Paths that correlations join."""
    blocks: list[set[str]] = []
    for pair in sorted(correlations):
        ends = set(pair.split(_JOIN))
        if ends <= set(paths):
            touched = [block for block in blocks if block & ends]
            blocks = [block for block in blocks if not block & ends] + [ends.union(*touched)]
    return blocks
