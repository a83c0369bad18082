"""What is observed: predictions with residual error."""

import zlib
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.checks import fail
from pkpd.model import Model

Values = Float[Array | np.ndarray, "... patients"]


def observe(model: Model, outputs: Mapping[str, Values], seed: int = 0) -> dict[str, Float[Array, "..."]]:
    """Observations of outputs, by the residual errors that the model states; other outputs as they are.

    Outputs are predictions by path, with patients or records as their last axis. The same seed gives a
    patient the same noise whoever else is there. Pure JAX in the predictions and in the model's parameters.
    Raises `InputError` where the model states no residual error of any of these outputs.
    """
    errors = {
        source: model.residuals[owner] for owner, _, (source, *_) in model.wires if owner in model.residuals
    }
    if not errors.keys() & outputs.keys():
        known = f"It states those of {', '.join(errors)}." if errors else "State them under [residuals]."
        raise fail("outputs", "must have a residual error in the model", list(outputs), known)
    found = {}
    for name, predicted in outputs.items():
        predicted = jnp.asarray(predicted)
        noise = jnp.asarray(_noise(name, predicted.shape, seed)) if name in errors else None
        found[name] = predicted if noise is None else errors[name].observed(predicted, noise)
    return found


def _noise(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Standard normal numbers, drawn patient by patient."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return np.moveaxis(rng.standard_normal((shape[-1], *shape[:-1])), 0, -1)
