"""The exact probability of counts of which some are of categories that exclude each other."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from pkpd.checks import InputError
from pkpd.likelihood import log_joint_counts, log_product_counts

compiled = jax.jit(log_joint_counts, static_argnums=(1, 2))
slopes = jax.jit(jax.value_and_grad(log_joint_counts), static_argnums=(1, 2))
product = jax.jit(log_product_counts, static_argnums=(1, 2))


def random_table(seed: int, shape: tuple[int, ...], zeros: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    table = random.dirichlet(np.ones(math.prod(shape)))
    table[random.permutation(table.size)[:zeros]] = 0.0
    return (table / table.sum()).reshape(shape)


def log(table: np.ndarray) -> jax.Array:
    with np.errstate(divide="ignore"):
        return jnp.asarray(np.log(table))


def patient_by_patient(table: np.ndarray, n: int) -> dict[tuple, float]:
    """Probabilities of all counts, those of an axis's categories 1, 2, ... in turn, patient after patient."""
    found = {(0,) * sum(size - 1 for size in table.shape): 1.0}
    events = {
        cell: tuple(int(c == k) for c, size in zip(cell, table.shape, strict=True) for k in range(1, size))
        for cell in np.ndindex(*table.shape)
    }
    for _ in range(n):
        after: dict[tuple, float] = {}
        for state, p in found.items():
            for cell, event in events.items():
                key = tuple(a + b for a, b in zip(state, event, strict=True))
                after[key] = after.get(key, 0.0) + p * float(table[cell])
        found = after
    return found


def as_counts(state: tuple[int, ...], shape: tuple[int, ...]) -> tuple:
    rest, found = list(state), []
    for size in shape:
        own, rest = tuple(rest[: size - 1]), rest[size - 1 :]
        found.append(own if size > 2 else own[0])
    return tuple(found)


@pytest.mark.parametrize(
    ("shape", "n"),
    [((3, 2, 2), 8), ((2, 4, 2), 6), ((2, 2, 5), 5), ((5, 2, 2), 1), ((2, 3), 8), ((4,), 7)],
)
@pytest.mark.parametrize("zeros", [0, 1])
def test_equals_the_enumeration_of_patients(shape: tuple[int, ...], n: int, zeros: int) -> None:
    table = random_table(n, shape, zeros)
    every = patient_by_patient(table, n)
    assert sum(every.values()) == pytest.approx(1.0, abs=1e-13)
    chosen = np.random.default_rng(1).permutation(len(every))[:4]
    for state in (list(every)[k] for k in chosen):
        found = math.exp(compiled(log(table), as_counts(state, shape), n))
        assert found == pytest.approx(every[state], rel=1e-12, abs=0.0)


def test_equals_simulated_frequencies() -> None:
    table, n, draws = random_table(11, (3, 2, 2)), 5, 20_000
    sizes = np.random.default_rng(0).multinomial(n, table.ravel(), size=draws)
    cells = np.array(list(np.ndindex(*table.shape)))
    events = np.stack([cells[:, 0] == 1, cells[:, 0] == 2, cells[:, 1], cells[:, 2]], axis=1)
    seen, times = np.unique(sizes @ events, axis=0, return_counts=True)
    for k in np.argsort(times)[-12:]:
        p = math.exp(compiled(log(table), as_counts(tuple(seen[k].tolist()), table.shape), n))
        assert abs(times[k] / draws - p) < 4.0 * math.sqrt(p * (1.0 - p) / draws)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_independent_axes_give_the_product_of_multinomials(place: int) -> None:
    own, y, z = np.array([0.45, 0.1, 0.2, 0.25]), np.array([0.3, 0.7]), np.array([0.6, 0.4])
    table = np.moveaxis(own[:, None, None] * y[None, :, None] * z, 0, place)
    counts: list = [35, 20]
    counts.insert(place, (4, 9, 13))
    expected = scipy.stats.multinomial.logpmf([26, 4, 9, 13], 52, own)
    expected += scipy.stats.binom.logpmf(35, 52, 0.7) + scipy.stats.binom.logpmf(20, 52, 0.4)
    assert float(compiled(log(table), tuple(counts), 52)) == pytest.approx(expected, rel=1e-12)
    assert float(product(log(table), tuple(counts), 52)) == pytest.approx(expected, rel=1e-12)


def test_merged_categories_have_the_probability_of_all_splits() -> None:
    table, n, events = random_table(3, (3, 2, 2)), 12, 5
    merged = np.stack([table[0], table[1] + table[2]])
    each = [float(compiled(log(table), ((k, events - k), 7, 4), n)) for k in range(events + 1)]
    found = np.logaddexp.reduce(each)
    assert found == pytest.approx(float(compiled(log(merged), (events, 7, 4), n)), rel=1e-13)


@pytest.mark.parametrize("counts", [((3, 1), 4, 2), ((0, 0), 8, 8), ((0, 8), 0, 1)])
def test_gradient_is_the_expected_table_and_equals_central_differences(counts: tuple) -> None:
    table, n, step = log(random_table(4, (3, 2, 2))), 8, 1e-4
    _, expected = slopes(table, counts, n)
    margins = [*expected.sum((1, 2))[1:], expected[:, 1].sum(), expected[:, :, 1].sum()]
    np.testing.assert_allclose(margins, [*counts[0], *counts[1:]], rtol=1e-12, atol=1e-12)
    for cell in itertools.islice(np.ndindex(3, 2, 2), 0, None, 3):
        up, down = (compiled(table.at[cell].add(s), counts, n) for s in (step, -step))
        assert float(expected[cell]) == pytest.approx(float(up - down) / (2.0 * step), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("counts", "possible"), [(((3, 0), 4, 2), True), (((3, 1), 4, 2), False)])
def test_a_category_that_never_happens(counts: tuple, possible: bool) -> None:
    table = random_table(5, (3, 2, 2))
    table[2] = 0.0
    table /= table.sum()
    value, slope = slopes(log(table), counts, 9)
    assert bool(jnp.all(jnp.isfinite(slope)))
    assert float(slope.sum()) == pytest.approx(9.0 * possible, abs=1e-12)
    kept = float(compiled(log(table[:2]), (counts[0][0], *counts[1:]), 9)) if possible else -math.inf
    assert float(value) == pytest.approx(kept, rel=1e-13)
    curvature = jax.jit(jax.hessian(lambda x: log_joint_counts(x, counts, 9)))(log(table))
    assert bool(jnp.all(jnp.isfinite(curvature)))


@pytest.mark.parametrize("counts", [((49, 4), 128), ((49, 4), 128, 100), ((49, 4, 64), 128, 100)])
def test_large_arms(counts: tuple) -> None:
    """The gradient, an expected table with the counts as margins, shows that no term is lost."""
    shape = (len(counts[0]) + 1, *(2 for _ in counts[1:]))
    value, expected = slopes(log(random_table(6, shape)), counts, 320)
    margins = [jnp.take(expected, 1, axis=axis).sum() for axis in range(len(shape))]
    np.testing.assert_allclose(margins, [counts[0][0], *counts[1:]], rtol=1e-10)
    assert math.isfinite(float(value))


@pytest.mark.parametrize(
    ("shape", "several", "n"),
    [
        ((4,), [((3, 0, 9),), ((1, 1, 1),), ((20, 0, 0),)], 20),
        ((2, 4), [(3, (1, 6, 0)), (11, (2, 2, 2))], 14),
        ((3, 2, 2), [((2, 3), 4, 1), ((0, 9), 0, 9)], 9),
    ],
)
def test_one_compilation_serves_many_counts(shape: tuple[int, ...], several: list, n: int) -> None:
    table = log(random_table(4, shape, zeros=1))
    program = jax.jit(jax.value_and_grad(lambda table, counts: log_joint_counts(table, counts, n)))
    for counts in several:
        found, expected = program(table, jax.tree.map(jnp.asarray, counts)), slopes(table, counts, n)
        assert float(found[0]) == pytest.approx(float(expected[0]), rel=1e-12)
        assert np.asarray(found[1]) == pytest.approx(np.asarray(expected[1]), rel=1e-10)


def test_single_precision() -> None:
    table, counts = log(random_table(7, (4, 2, 2))), ((9, 4, 2), 21, 22)
    single = compiled(table.astype(jnp.float32), counts, 52)
    assert single.dtype == jnp.float32
    assert float(single) == pytest.approx(float(compiled(table, counts, 52)), rel=1e-5)


def test_faults_are_listed_together() -> None:
    table = log(random_table(0, (3, 2)))
    with pytest.raises(InputError) as caught:
        log_joint_counts(table, ((4, 2), (1,)), 5)
    assert [fault.place for fault in caught.value.faults] == ["counts[0]", "counts[1]"]
    for counts in ((3, 1), ((3,), 1), ((-1, 2), 1)):
        with pytest.raises(InputError, match=r"counts\[0\]"):
            log_joint_counts(table, counts, 5)
    with pytest.raises(InputError, match="must be the counts of categories 1 to 2"):
        log_joint_counts(table, jnp.array([1, 2]), 5)
