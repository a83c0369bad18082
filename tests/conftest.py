"""What holds for every test: 64-bit, strict shapes, checked annotations, examples that repeat."""

import jax
from hypothesis import settings
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

install_import_hook("pkpd", "beartype.beartype")

settings.register_profile("pkpd", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("pkpd")
