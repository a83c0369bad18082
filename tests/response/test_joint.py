"""Outcomes of one patient share the lifetime: table against simulated patients."""

import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.response.joint import alive_by_life, by_life, cuts_of, log1m_exp, log_lives, log_table


def test_table_is_what_simulated_patients_show():
    rng = np.random.default_rng(3)
    rates = np.array([0.002, 0.006, 0.012])
    respond = np.array([[0.1, 0.3], [0.2, 0.6], [0.05, 0.1]])  # by visit 56 and by visit 84, if alive
    improved = np.array([0.3, 0.6, 0.2])  # at day 28, if alive
    cuts = cuts_of([56.0, 84.0, 28.0, 365.0])
    lives = log_lives(jnp.diff(jnp.asarray(cuts))[:, None] * rates)
    table = np.exp(
        log_table(
            lives,
            [
                by_life(cuts, (56.0, 84.0), jnp.log(jnp.stack([1 - respond.T, respond.T]))),
                alive_by_life(cuts, 365.0, 3),
                by_life(cuts, (28.0,), jnp.log(jnp.stack([1 - improved, improved]))[:, None]),
            ],
        )
    )
    n = 1_000_000
    who = rng.integers(0, 3, n)
    death = rng.exponential(1 / rates[who])
    u, v = rng.random(n), rng.random(n)
    first = np.where(u < respond[who, 0], 56.0, np.where(u < respond[who, 1], 84.0, np.inf))
    x, y, z = first <= death, death > 365.0, (v < improved[who]) & (death > 28.0)
    counted = np.histogramdd(np.stack([x, y, z], 1).astype(float), bins=(2, 2, 2))[0] / n
    assert table.sum() == pytest.approx(1.0, abs=1e-12)
    assert table == pytest.approx(counted, abs=0.002)


@pytest.mark.parametrize("x", [-1e-18, -1e-5, -0.3, -0.6931, -0.6932, -3.0, -40.0, -800.0])
def test_log1m_exp(x):
    assert log1m_exp(jnp.asarray(x)) == pytest.approx(np.log(-np.expm1(x)), rel=1e-14)


def test_log1m_exp_at_the_ends():
    assert log1m_exp(jnp.asarray(0.0)) == -jnp.inf
    assert log1m_exp(jnp.asarray(-jnp.inf)) == 0.0


def test_a_step_far_below_the_hazard_before_it_is_not_lost():
    lives = log_lives(jnp.asarray([[0.4], [1e-30], [0.2]]))
    assert lives[1, 0] == pytest.approx(-0.4 + np.log(1e-30), rel=1e-12)
