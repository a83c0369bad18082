"""The exact probability of an arm's counts, against arithmetic to 50 digits and other software."""

import itertools
import math
from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jaxtyping import Array

from pkpd.checks import InputError
from pkpd.likelihood import clopper_pearson, log_binomial, log_joint_counts, log_product_counts, marginal

compiled = jax.jit(log_joint_counts, static_argnums=(1, 2))
traced = jax.jit(jax.value_and_grad(log_joint_counts), static_argnums=2)
static = jax.jit(jax.value_and_grad(log_joint_counts), static_argnums=(1, 2))
every_log_joint_count = jax.jit(jax.vmap(log_joint_counts, in_axes=(None, 0, None)), static_argnums=2)
TREATED, CONTROL = ((9, 21, 22), 52), ((0, 5, 8), 48)


def random_table(seed: int, endpoints: int, zeros: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    table = random.dirichlet(np.ones(2**endpoints))
    table[random.permutation(table.size)[:zeros]] = 0.0
    return (table / table.sum()).reshape((2,) * endpoints)


def rare_table(rare: float) -> np.ndarray:
    """Each event of the third axis is rare, and commoner with the first."""
    table = random_table(5, 3)
    table[..., 1] *= rare
    table[0, :, 1] *= rare
    table[0, 0, 0] += 1.0 - table.sum()
    return table


def log(table: np.ndarray) -> Array:
    with np.errstate(divide="ignore"):
        return jnp.asarray(np.log(table))


def log_polynomial_power(table: np.ndarray, counts: tuple[int, ...], n: int) -> float:
    """Log coefficient of the n-th power of the table's polynomial, multiplied out to 50 digits."""
    power = np.full([count + 1 for count in counts], Decimal(0))
    power[(0,) * len(counts)] = Decimal(1)
    with localcontext(prec=50):
        for _ in range(n):
            product = np.full_like(power, Decimal(0))
            for cell in zip(*np.nonzero(table), strict=True):
                target = tuple(slice(a, None) for a in cell)
                source = tuple(slice(0, size - a) for a, size in zip(cell, power.shape, strict=True))
                product[target] += Decimal(float(table[cell])) * power[source]
            power = product
        return float(power[counts].ln()) if power[counts] else -math.inf


def enumerate_probabilities(table: np.ndarray, n: int) -> np.ndarray:
    """Probabilities of all counts: the multinomial probabilities of the tables with these margins, summed."""
    events = np.array(list(np.ndindex(*table.shape))).T
    total, cells = np.zeros((n + 1,) * table.ndim), table.size
    for bars in itertools.combinations(range(n + cells - 1), cells - 1):
        sizes = np.diff([-1, *bars, n + cells - 1]) - 1
        ways = math.factorial(n) / math.prod(math.factorial(size) for size in sizes)
        total[tuple(events @ sizes)] += ways * np.prod(table.ravel() ** sizes)
    return total


@pytest.mark.parametrize(("endpoints", "n"), [(1, 8), (2, 1), (2, 8), (3, 1), (3, 4), (3, 7)])
@pytest.mark.parametrize("zeros", [0, 1])
def test_all_counts_equal_the_sum_over_multinomial_tables(endpoints: int, n: int, zeros: int) -> None:
    table = random_table(n, endpoints, zeros)
    expected = enumerate_probabilities(table, n)
    every = np.array(list(np.ndindex(*expected.shape)))
    found = np.exp(every_log_joint_count(log(table), jnp.asarray(every), n))
    np.testing.assert_allclose(found, expected[tuple(every.T)], rtol=1e-12, atol=0.0)
    assert found.sum() == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize("zeros", [0, 1])
@pytest.mark.parametrize(
    "counts", [(2,), (0, 3), (2, 5), (4, 4), (1, 3, 2), (3, 4, 1), (0, 3, 5), (5, 5, 0), (4, 0, 4)]
)
def test_static_counts_equal_the_sum_over_multinomial_tables(counts: tuple[int, ...], zeros: int) -> None:
    table = random_table(1, len(counts), zeros)
    expected = enumerate_probabilities(table, 5)[counts]
    assert math.exp(compiled(log(table), counts, 5)) == pytest.approx(expected, rel=1e-12, abs=0.0)


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(random_table(2, 3), id="ordinary"),
        pytest.param(random_table(3, 3, zeros=3), id="zeros"),
        pytest.param(rare_table(0.1), id="rare"),
        pytest.param(rare_table(1e-12), id="very rare"),
        pytest.param(rare_table(1e-150), id="down to 1e-300"),
    ],
)
@pytest.mark.parametrize(("counts", "n"), [TREATED, CONTROL, ((52, 21, 0), 52), ((7, 47, 5), 52)])
def test_equals_the_polynomial_power_to_50_digits(table: np.ndarray, counts: tuple[int, ...], n: int) -> None:
    exact = log_polynomial_power(table, counts, n)
    found = float(compiled(log(table), counts, n))
    assert found == pytest.approx(exact, rel=3e-15, abs=3e-13)


def test_the_harsh_tables_are_harsh() -> None:
    improbable = [
        float(log_joint_counts(log(rare_table(rare)), *TREATED)) / math.log(10) for rare in (0.1, 1e-12)
    ]
    assert -45 < improbable[0] < -25
    assert improbable[1] < -280


def test_equals_the_discrete_fourier_transform_of_the_generating_function() -> None:
    table, n = random_table(7, 3), 12
    values = np.fft.fftn(table, s=(n + 1,) * 3, axes=(0, 1, 2)) ** n
    expected = np.fft.ifftn(values).real
    for counts in [(0, 5, 12), (3, 4, 5), (6, 6, 6), (7, 2, 9)]:
        assert math.exp(compiled(log(table), counts, n)) == pytest.approx(expected[counts], abs=1e-15)


def test_equals_simulated_frequencies() -> None:
    table, n, draws = random_table(11, 3), 6, 200_000
    sizes = np.random.default_rng(0).multinomial(n, table.ravel(), size=draws)
    counts = sizes @ np.array(list(np.ndindex(2, 2, 2)))
    seen, times = np.unique(counts, axis=0, return_counts=True)
    common = np.argsort(times)[-20:]
    p = np.exp(every_log_joint_count(log(table), jnp.asarray(seen[common]), n))
    z = (times[common] / draws - p) / np.sqrt(p * (1.0 - p) / draws)
    assert np.abs(z).max() < 4.0


@pytest.mark.parametrize(("counts", "n"), [TREATED, CONTROL, ((52, 0, 30), 52)])
def test_independent_outcomes_give_the_product_of_binomials(counts: tuple[int, ...], n: int) -> None:
    p = np.array([0.17, 0.4, 0.43])
    table = np.einsum("a,b,c->abc", *np.stack([1.0 - p, p], axis=1))
    expected = scipy.stats.binom.logpmf(counts, n, p).sum()
    assert float(compiled(log(table), counts, n)) == pytest.approx(expected, rel=1e-13)
    assert float(log_product_counts(log(table), counts, n)) == pytest.approx(expected, rel=1e-13)


def test_the_product_ignores_dependence() -> None:
    same = log(np.array([[0.6, 0.0], [0.0, 0.4]]))
    assert float(compiled(same, (20, 20), 52)) == pytest.approx(scipy.stats.binom.logpmf(20, 52, 0.4))
    assert float(compiled(same, (20, 21), 52)) == -math.inf
    expected = scipy.stats.binom.logpmf([20, 21], 52, 0.4).sum()
    assert float(log_product_counts(same, (20, 21), 52)) == pytest.approx(expected)
    traced_product = jax.jit(log_product_counts, static_argnums=2)
    assert float(traced_product(same, jnp.array([20, 21]), 52)) == pytest.approx(expected)


@pytest.mark.parametrize("events", [0, 1, 9, 51, 52])
@pytest.mark.parametrize("p", [1e-300, 1e-9, 0.17, 0.999])
def test_one_endpoint_is_a_binomial(events: int, p: float) -> None:
    expected = scipy.stats.binom.logpmf(events, 52, p)
    log_p, log_q = jnp.log(p), jnp.log1p(-p)
    assert float(compiled(jnp.stack([log_q, log_p]), (events,), 52)) == pytest.approx(expected, rel=1e-13)
    assert float(log_binomial(log_p, log_q, events, 52)) == pytest.approx(expected, rel=1e-13)


def test_binomial_broadcasts_over_counts_and_sums_to_one() -> None:
    log_p = log_binomial(math.log(0.3), math.log(0.7), np.arange(53), 52)
    np.testing.assert_allclose(np.exp(log_p).sum(), 1.0, rtol=1e-13)


@pytest.mark.parametrize(("events", "log_p", "slopes"), [(0, -math.inf, (0, 52)), (52, 0.0, (52, 0))])
def test_binomial_at_the_ends_is_certain_with_finite_gradient(
    events: int, log_p: float, slopes: tuple
) -> None:
    log_q = 0.0 if events == 0 else -math.inf
    value, found = jax.value_and_grad(log_binomial, argnums=(0, 1))(log_p, log_q, events, 52)
    assert float(value) == pytest.approx(0.0, abs=1e-13)
    assert tuple(map(float, found)) == slopes


@pytest.mark.parametrize("product", [False, True])
@pytest.mark.parametrize(("counts", "n"), [TREATED, CONTROL, ((4, 0), 5)])
def test_gradient_equals_central_differences(counts: tuple[int, ...], n: int, product: bool) -> None:
    log_table, step = log(random_table(4, len(counts))), 1e-4
    value = jax.jit(lambda x: (log_product_counts if product else log_joint_counts)(x, counts, n))
    found = jax.grad(value)(log_table)
    for cell in np.ndindex(*log_table.shape):
        up, down = value(log_table.at[cell].add(step)), value(log_table.at[cell].add(-step))
        assert float(found[cell]) == pytest.approx(float(up - down) / (2.0 * step), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("rare", [0.1, 1e-12, 1e-150, 0.0])
@pytest.mark.parametrize(
    ("counts", "n"), [((9, 21, 22), 52), ((0, 5, 8), 48), ((52, 0, 13), 52), ((9, 21, 0), 52)]
)
def test_gradient_is_the_expected_table_given_its_margins(
    counts: tuple[int, ...], n: int, rare: float
) -> None:
    """d log P / d log p_abc is the expected number of patients in that cell, whose margins are the counts."""
    log_table = log(rare_table(rare))
    possible = rare > 0.0 or counts[2] == 0
    for value, expected in (static(log_table, counts, n), traced(log_table, jnp.asarray(counts), n)):
        assert bool(jnp.isfinite(value)) == possible
        margins = [jnp.take(expected, 1, axis=axis).sum() for axis in range(3)]
        np.testing.assert_allclose(margins, possible * np.array(counts), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(expected.sum(), possible * n, rtol=1e-12)


@pytest.mark.parametrize(("counts", "n"), [TREATED, CONTROL])
@pytest.mark.parametrize("rare", [1e-150, 0.1])
def test_curvature_is_finite_and_symmetric(counts: tuple[int, ...], n: int, rare: float) -> None:
    found = jax.jit(jax.hessian(lambda x: log_joint_counts(x, counts, n)))(log(rare_table(rare))).reshape(
        8, 8
    )
    np.testing.assert_allclose(found, found.T, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 0.0, atol=1e-9)


def test_impossible_tables_have_no_nan() -> None:
    nothing = jnp.full((2, 2), -jnp.inf)
    for function in (log_joint_counts, log_product_counts):
        value, slope = jax.jit(jax.value_and_grad(lambda x, f=function: f(x, (2, 3), 5)))(nothing)
        assert float(value) == -math.inf
        assert bool(jnp.all(jnp.isfinite(slope)))


def test_compiled_batched_and_in_single_precision() -> None:
    tables = jnp.stack([log(random_table(seed, 3)) for seed in range(2)])
    expected = [log_polynomial_power(np.exp(np.asarray(table)), *TREATED) for table in tables]
    found = jax.jit(jax.vmap(lambda table: log_joint_counts(table, *TREATED)))(tables)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    single = compiled(tables[0].astype(jnp.float32), *TREATED)
    assert single.dtype == jnp.float32
    assert float(single) == pytest.approx(expected[0], rel=1e-5)
    assert log_product_counts(tables[0].astype(jnp.float32), *TREATED).dtype == jnp.float32


def test_one_compilation_serves_many_counts() -> None:
    log_table = log(random_table(6, 3))
    traces = []

    @jax.jit
    def value(counts: Array) -> Array:
        traces.append(counts)
        return log_joint_counts(log_table, counts, 52)

    for counts in [(9, 21, 22), (0, 52, 40), (26, 26, 26)]:
        assert float(value(jnp.array(counts))) == pytest.approx(
            float(compiled(log_table, counts, 52)), rel=1e-13
        )
    assert len(traces) == 1


def test_marginal_sums_the_other_endpoints_and_orders_the_axes() -> None:
    table = random_table(8, 3, zeros=2)
    table[1, :, 1] = 0.0
    np.testing.assert_allclose(np.exp(marginal(log(table), (2, 0))), table.sum(axis=1).T, rtol=1e-14)
    np.testing.assert_allclose(np.exp(marginal(log(table), (1,))), table.sum(axis=(0, 2)), rtol=1e-14)
    np.testing.assert_allclose(np.exp(marginal(log(table), (0, 1, 2))), table, rtol=1e-14)
    slope = jax.jit(jax.jacobian(lambda x: marginal(x, (2, 0))))(log(table))
    assert bool(jnp.all(jnp.isfinite(slope)))


def test_leaving_an_endpoint_out_is_summing_over_its_counts() -> None:
    log_table, n = log(random_table(9, 3)), 6
    every = jnp.array([[2, 3, z] for z in range(n + 1)])
    expected = float(jax.nn.logsumexp(every_log_joint_count(log_table, every, n)))
    assert float(compiled(marginal(log_table, (0, 1)), (2, 3), n)) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("events", "n"), [(9, 52), (21, 52), (22, 52), (5, 48), (8, 48), (0, 48), (26, 26), (1, 1)]
)
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_interval_equals_scipy(events: int, n: int, level: float) -> None:
    exact = scipy.stats.binomtest(events, n).proportion_ci(level, method="exact")
    assert clopper_pearson(events, n, level) == pytest.approx((exact.low, exact.high), rel=1e-9)


def test_interval_of_no_events_is_the_rule_of_three_made_exact() -> None:
    lower, upper = clopper_pearson(np.array([0, 48]), 48)
    np.testing.assert_allclose(lower, [0.0, 0.025 ** (1 / 48)], rtol=1e-12)
    np.testing.assert_allclose(upper, [1.0 - 0.025 ** (1 / 48), 1.0], rtol=1e-12)


def test_faults_are_listed_together() -> None:
    table = log(random_table(0, 2))
    with pytest.raises(InputError) as caught:
        log_joint_counts(table, (53, -1), 52)
    assert [fault.place for fault in caught.value.faults] == ["counts[0]", "counts[1]"]
    with pytest.raises(InputError) as caught:
        log_product_counts(table, (1, 2, 3), 0)
    assert {"counts", "n"} <= {fault.place for fault in caught.value.faults}
    with pytest.raises(InputError, match="log_table: must have 1 to 3 axes of two categories"):
        log_joint_counts(jnp.zeros((3, 3)), ((1, 1), (1, 1)), 5)
    with pytest.raises(InputError, match="keep: must be different axes"):
        marginal(table, (0, 2))
    with pytest.raises(InputError) as caught:
        clopper_pearson(6, 5, level=1.0)
    assert [fault.place for fault in caught.value.faults] == ["events", "level"]
