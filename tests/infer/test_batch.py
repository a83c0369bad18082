"""Many climbs at once: each as it would be alone, whatever the others are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from pkpd.infer.batch import CONVERGED, IMPOSSIBLE, UNFINISHED, climb_many

ITEMS, SIZE = 37, 4


def density(item, x):
    """Concave, and hard where the item's first number is large."""
    matrix, centre, hard = item
    u = matrix @ x
    valley = hard * (x[1] - x[0] ** 2) ** 2
    return -0.5 * jnp.sum((x - centre) ** 2) - jnp.sum(jnp.logaddexp(u, -u)) - valley


@pytest.fixture(scope="module")
def items():
    random = np.random.default_rng(5)
    matrix, centre = random.normal(size=(ITEMS, SIZE, SIZE)), random.normal(size=(ITEMS, SIZE))
    hard = np.where(np.arange(ITEMS) % 9 == 4, 300.0, 0.0)
    return tuple(map(jnp.asarray, (matrix, centre, hard)))


def climbed(items, **options):
    return jax.jit(lambda starts, items: climb_many(density, starts, items, **options))(
        jnp.zeros((len(items[0]), SIZE)), items
    )


@pytest.fixture(scope="module")
def found(items):
    return climbed(items, lanes=8, width=4)


def test_every_item_ends_where_it_would_alone(items, found):
    assert (found.status == CONVERGED).all()
    assert found.gradient.max() <= 2e-4
    for k in range(ITEMS):
        item = tuple(leaf[k] for leaf in items)
        alone = minimize(lambda x, item=item: -float(density(item, jnp.asarray(x))), np.zeros(SIZE))
        assert found.log_density[k] == pytest.approx(-alone.fun, abs=1e-6)


def test_hard_items_take_their_time_and_leave_the_others_theirs(items, found):
    hard = np.asarray(items[2]) > 0
    alone = climbed(tuple(leaf[~hard] for leaf in items), lanes=8, width=4)
    assert found.asked[hard].min() > found.asked[~hard].max()
    for now, before in zip(alone, found, strict=True):
        assert np.array_equal(now, before[~hard])


@pytest.mark.parametrize(("lanes", "width"), [(4, 4), (64, 4), (6, 2), (1, 1)])
def test_lanes_change_nothing(items, found, lanes, width):
    again = climbed(items, lanes=lanes, width=width)
    assert np.array_equal(again.status, found.status)
    assert np.abs(again.points - found.points).max() < 1e-9
    assert np.abs(again.log_density - found.log_density).max() < 1e-12


def test_how_an_item_fails_is_its_own(items):
    starts = jnp.zeros((3, SIZE)).at[1].set(jnp.nan)
    few = tuple(leaf[3:6] for leaf in items)
    found = climb_many(density, starts, few, most=40)
    assert found.status.tolist() == [CONVERGED, IMPOSSIBLE, CONVERGED]
    found = climb_many(density, jnp.zeros((3, SIZE)), few, most=2)
    assert found.status.tolist() == [UNFINISHED] * 3
    assert found.asked.tolist() == [2] * 3
