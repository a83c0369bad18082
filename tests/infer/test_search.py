"""A search that is kept is not made again, and not taken for that of another density."""

import dataclasses

import jax
import numpy as np
import pytest

from pkpd.checks import InputError
from pkpd.infer import search as searching
from pkpd.infer.prior import Prior
from pkpd.infer.problem import evaluator, free
from pkpd.infer.settings import Settings
from pkpd.store import Store
from tests.infer.test_emulated import problem_of

SCALE, KILL = Prior("lognormal", 0.004, 0.7), Prior("lognormal", 0.01, 0.5)


def ask(store, scale=SCALE):
    """Searches a problem with a parameter that is stated by its effect."""
    priors = free({"survival.scale": scale, "tumour.kkill": KILL})
    problem, settings = dataclasses.replace(problem_of(), priors=priors), Settings(starts=2, seed=1)
    return searching.search(problem, evaluator(problem), settings, lambda message, share: None, store)


def test_what_is_kept_is_found_again(tmp_path, monkeypatch):
    store = Store(tmp_path)
    first = ask(store)
    assert first.normal.coordinates.slopes == (1,)
    monkeypatch.delattr(searching, "climb")
    again = ask(store)
    assert jax.tree.structure(again) == jax.tree.structure(first)
    for one, other in zip(jax.tree.leaves(again), jax.tree.leaves(first), strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(InputError, match="today's density"):
        ask(store, Prior("lognormal", 0.005, 0.7))
