"""How probable published survival is: Kaplan-Meier points, a median, a hazard ratio.

Log survival comes from the model, averaged over patients; what was printed comes from the paper.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real
from scipy.special import gammaln

from pkpd.checks import Findings, fail
from pkpd.likelihood.means import log_mean
from pkpd.likelihood.zero import finite, log_sum, restore, times
from pkpd.quadrature import gauss
from pkpd.response.joint import log1m_exp

Printed = Real[Array, " times"] | Real[np.ndarray, " times"] | Sequence[float | int]

MOST_NODES = 256
STEPS = 40  # of Newton's method, of at most 1 each
_FALL = 30.0  # in log survival within an interval; what dies later is 1e-13 of it
_DEAD = -700.0  # log survival of which the exponential is still a number
_PLACES, _WEIGHTS = gauss(16)


def log_kaplan_meier(
    log_alive: Float[Array, " times"], survival: Printed, at_risk: Printed, n: int
) -> Float[Array, ""]:
    """Log likelihood of a printed Kaplan-Meier curve at some times after the start, up to a constant.

    Of the `r[i-1]` at risk at `t[i-1]` (`n` at the start) a share `d[i] = 1 - S[i]/S[i-1]` died by `t[i]`:

        sum_i r[i-1] (d[i] log(1 - q[i]) + (1 - d[i]) log q[i]),    q[i] = exp(log_alive[i] - log_alive[i-1]),

    with the printed `survival` S and the numbers `at_risk` at the same times, of which the last decides
    nothing. Without censoring it is the multinomial of the deaths by interval. Who is censored within an
    interval counts as at risk throughout: take intervals short where many are.
    Raises InputError where a printed survival rises or is not between 0 and 1, or a number is negative.

    References: Kaplan EL, Meier P. J Am Stat Assoc 1958;53:457-481, doi 10.1080/01621459.1958.10501452;
    Prentice RL, Gloeckler LA. Biometrics 1978;34:57-67, doi 10.2307/2529588.
    """
    _check_curve(log_alive, survival, at_risk, n)
    alive, risk = jnp.asarray(survival, log_alive.dtype), jnp.asarray(at_risk, log_alive.dtype)
    before = jnp.concatenate([jnp.ones(1, alive.dtype), alive[:-1]])
    dead = jnp.where(before > 0.0, 1.0 - alive / jnp.where(before > 0.0, before, 1.0), 0.0)
    risk = jnp.where(before > 0.0, jnp.concatenate([jnp.full(1, n, risk.dtype), risk[:-1]]), 0.0)
    log_q = jnp.diff(finite(log_alive), prepend=0.0)
    died, lived = times(risk * dead, finite(log1m_exp(log_q))), times(risk * (1.0 - dead), log_q)
    return restore(jnp.sum(died + lived))


def log_median(
    log_alive_low: Float[Array, ""] | float, log_alive_high: Float[Array, ""] | float, n: int
) -> Float[Array, ""]:
    """Log probability that the median lifetime of `n` patients was printed as it was, all being followed.

    The print is rounded: the median lies above `low` and up to `high`, where the log survival is `log_alive`.
    It is the k-th lifetime, `k = ceil(n/2)`, at which the Kaplan-Meier curve reaches 1/2. With F = 1 - S

        P = n! / ((k-1)! (n-k)!) integral from F(low) to F(high) of F^(k-1) (1 - F)^(n-k) dF

    by Gauss's rule, whose terms are positive: no tail cancels, where a difference of incomplete beta
    functions would lose it. Exact up to 512 patients, to about 1e-6 up to 10,000.
    Raises InputError for n below 1.

    References: David HA, Nagaraja HN. Order Statistics. Wiley 2003, doi 10.1002/0471722162.
    """
    if n < 1:
        raise fail("n", "must be at least 1", n)
    low, high = jnp.asarray(log_alive_low, float), jnp.asarray(log_alive_high, float)
    place, weight = gauss(min(n // 2 + 1, MOST_NODES))
    k = (n + 1) // 2
    dead = -jnp.expm1(low) * (1.0 - place) - jnp.expm1(high) * place
    log_dead = finite(jnp.where(dead > 0.0, jnp.log(jnp.where(dead > 0.0, dead, 1.0)), -jnp.inf))
    log_alive = jnp.logaddexp(finite(low) + np.log1p(-place), finite(high) + np.log(place))
    log_width = finite(low) + finite(log1m_exp(jnp.minimum(finite(high) - finite(low), 0.0)))
    terms = (k - 1) * log_dead + (n - k) * log_alive + np.log(weight)
    log_ways = float(gammaln(n + 1.0) - gammaln(float(k)) - gammaln(n - k + 1.0))
    return restore(log_ways + log_width + log_sum(terms))


def cox_log_ratio(
    log_alive_treated: Float[Array, " times"], log_alive_control: Float[Array, " times"], share: float
) -> Float[Array, ""]:
    """What Cox's regression on treatment estimates: the log hazard ratio of large arms under two survivals.

    Everybody is followed to the last of the times, of which the first is after the start; a `share` of all
    are treated. The ratio b is the zero of the expected score of the partial likelihood

        U(b) = integral of share S1 h1 (1 - w) - (1 - share) S0 h0 w over the follow-up,
        w(t) = share S1 exp(b) / (share S1 exp(b) + (1 - share) S0),

    with hazards that are constant between times: proportional ones give their log ratio whatever the times.
    Newton's method without a gradient finds it, and two more steps give slope and curvature of the implicit
    function. Without any death it is 0; where only one arm has deaths it is large, and means nothing.
    Raises InputError for a share that is not between 0 and 1.

    References: Cox DR. J R Stat Soc B 1972;34:187-220, doi 10.1111/j.2517-6161.1972.tb00899.x;
    Struthers CA, Kalbfleisch JD. Biometrika 1986;73:363-369, doi 10.1093/biomet/73.2.363.
    """
    if not 0.0 < share < 1.0:
        raise fail("share", "must be between 0 and 1", share)
    treated, died_treated = _deaths(log_alive_treated)
    control, died_control = _deaths(log_alive_control)
    shift = treated - control + np.log(share) - np.log1p(-share)
    deaths = share * died_treated, (1.0 - share) * died_control

    fixed = jax.lax.stop_gradient((shift, deaths))
    rough = jax.lax.fori_loop(0, STEPS, lambda _, ratio: _newton(ratio, *fixed), jnp.zeros_like(shift[0, 0]))
    return _newton(_newton(rough, shift, deaths), shift, deaths)


def log_hazard_ratio(log_ratio: Float[Array, "..."], printed: float, se: float) -> Float[Array, "..."]:
    """Log density of the log of a printed hazard ratio, normal about `log_ratio` with standard error `se`.

    Raises InputError for a ratio or an error that is not positive.
    """
    if not printed > 0.0:
        raise fail("printed", "must be positive", printed)
    return log_mean(log_ratio, float(np.log(printed)), se)


def _deaths(log_alive: Float[Array, " times"]) -> tuple[Array, Array]:
    """Log survival at points within the intervals, and the weighted density of deaths there, `S h`."""
    later = jnp.maximum(log_alive, _DEAD)
    before = jnp.concatenate([jnp.zeros_like(later[:1]), later[:-1]])
    hazard = jnp.minimum(before - later, _FALL)
    inside = before[:, None] - hazard[:, None] * _PLACES
    return inside, jnp.exp(inside) * hazard[:, None] * _WEIGHTS


def _newton(ratio: Array, shift: Array, deaths: tuple[Array, Array]) -> Array:
    """A step towards the zero of the score, of at most 1."""
    treated, control = deaths
    chance, other = jax.nn.sigmoid(shift + ratio), jax.nn.sigmoid(-shift - ratio)
    score = jnp.sum(treated * other - control * chance)
    slope = jnp.sum((treated + control) * chance * other)
    some = slope > 0.0
    return ratio + jnp.clip(jnp.where(some, score, 0.0) / jnp.where(some, slope, 1.0), -1.0, 1.0)


def _check_curve(log_alive: Array, survival: Printed, at_risk: Printed, n: int) -> None:
    found = Findings()
    if n < 1:
        found.add("n", "must be at least 1", n)
    for name, column in (("survival", survival), ("at_risk", at_risk)):
        if np.shape(column) != log_alive.shape:
            found.add(name, f"must have one number per time, {log_alive.shape[0]}", np.shape(column))
    if not isinstance(survival, jax.Array):
        _check_survival(np.asarray(survival, float), found)
    if not isinstance(at_risk, jax.Array) and np.any(~(np.asarray(at_risk, float) >= 0.0)):
        found.add("at_risk", "must not be negative", at_risk)
    found.raise_if_any()


def _check_survival(survival: np.ndarray, found: Findings) -> None:
    if np.any(~((survival >= 0.0) & (survival <= 1.0))):
        found.add("survival", "must be between 0 and 1", survival.tolist())
    elif np.any(np.diff(survival) > 0.0):
        found.add("survival", "must not rise", survival.tolist())
