"""Virtual patients: their covariates and the effects that make their parameters differ."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.checks import Findings, did_you_mean
from pkpd.parameters import Scalar
from pkpd.population.covariates import Covariate
from pkpd.population.variability import correlated

_KNOWN = "covariates."  # in the name of a correlation


class Patients(eqx.Module):
    """Standard-normal effects by parameter path, each [patients].

    The patients form `groups` of equal size, in which the effects that are shared repeat. `kappa` are effects
    of occasions by parameter path [occasions, patients]; in a regimen these begin at the times `starts`, in
    records they are those of the column `occ` in ascending order. `covariates` that are not known are at
    their reference.
    """

    eta: dict[str, Float[Array, " patients"]]
    count: int = eqx.field(static=True)
    groups: int = eqx.field(static=True, default=1)
    covariates: dict[str, Float[Array, " patients"]] = eqx.field(default_factory=dict)
    kappa: dict[str, Float[Array, "occasions patients"]] = eqx.field(default_factory=dict)
    starts: tuple[float, ...] = eqx.field(static=True, default=(0.0,))


def draw_patients(
    paths: Iterable[str],
    count: int,
    seed: int = 0,
    shared: Collection[str] = (),
    groups: int = 1,
    *,
    covariates: Sequence[Covariate] = (),
    correlations: Mapping[str, Scalar] | None = None,
    occasional: Iterable[str] = (),
    starts: Sequence[float] = (0.0,),
) -> Patients:
    """`count` patients on scrambled Sobol points, one dimension per path and covariate.

    The same seed gives the same patients under any schedule and any parameters (common random
    numbers). Paths take the dimensions in sorted order; the effects `shared`, which repeat in each of
    `groups`, come last, because the first dimensions are the best. Effects of occasions on the parameters
    `occasional` have points of their own, dealt out at random. `correlations` are those of the normal scores
    of covariates.
    Raises `InputError` unless `count` is at least 1 and a multiple of `groups`, `seed` a non-negative integer
    and `starts` ascending from 0.
    """
    _check(count, seed, groups, starts)
    names = sorted(paths, key=lambda path: (path in shared, path))
    spread = sorted((c for c in covariates if c.spreads), key=lambda c: c.name)
    columns = _normal(len(names) + len(spread), count, np.random.default_rng(seed))
    few = count // groups
    eta = {p: np.tile(v[:few], groups) if p in shared else v for p, v in zip(names, columns, strict=False)}
    scores = {f"{_KNOWN}{c.name}": v for c, v in zip(spread, columns[len(names) :], strict=True)}
    scores = correlated(scores, correlations or {}, list(scores))
    known = {c.name: c.values(np.asarray(scores[f"{_KNOWN}{c.name}"])) for c in spread}
    drawn, turns, rng = sorted(occasional), len(starts), np.random.default_rng([seed, 1])
    each = _normal(len(drawn) * turns, count, rng)[:, rng.permutation(count)]
    kappa = {p: each[i :: len(drawn)] for i, p in enumerate(drawn)}
    arrays = ({name: jnp.asarray(v) for name, v in some.items()} for some in (eta, known, kappa))
    own, known_of, of_occasions = arrays
    return Patients(own, count, groups, known_of, of_occasions, tuple(map(float, starts)))


def typical_patient() -> Patients:
    """One patient without random effects."""
    return Patients({}, 1)


def _check(count: int, seed: int, groups: int, starts: Sequence[float]) -> None:
    findings = Findings()
    if count < 1:
        findings.add("patients", "must be at least 1", count)
    if seed < 0:
        findings.add("seed", "must not be negative", seed)
    if count % groups:
        findings.add("patients", f"must be a multiple of the number of groups, {groups}", count)
    if not len(starts) or starts[0] != 0.0 or not np.all(np.diff(starts) > 0.0):
        findings.add("occasions", "must begin at 0 and ascend", list(starts))
    findings.raise_if_any()


def _normal(dimensions: int, count: int, rng: np.random.Generator) -> Float[np.ndarray, "dimensions count"]:
    """Standard normal numbers on scrambled Sobol points."""
    if not dimensions:
        return np.zeros((0, count))
    from scipy.special import ndtri
    from scipy.stats import qmc

    points = qmc.Sobol(dimensions, scramble=True, rng=rng).random_base2(int(np.ceil(np.log2(count))))[:count]
    return ndtri(np.clip(points, 1e-12, 1 - 1e-12)).T


def given_covariates(
    given: Mapping[str, Sequence[float] | np.ndarray], covariates: Sequence[Covariate], count: int
) -> dict[str, Array]:
    """Covariates of patients as they are told, checked; raises `InputError` with all that is wrong."""
    findings, known = Findings(), {c.name: c for c in covariates}
    found = {}
    for name, column in given.items():
        values = np.asarray(column, float)
        if name in known:
            _check_values(known[name], values, count, findings)
            found[name] = jnp.asarray(values)
        else:
            hint = did_you_mean(name, known)
            findings.add(f"covariates.{name}", "must be a covariate of the model", name, hint)
    findings.raise_if_any()
    return found


def _check_values(covariate: Covariate, values: np.ndarray, count: int, findings: Findings) -> None:
    place = f"covariates.{covariate.name}"
    if values.shape != (count,):
        findings.add(place, f"must have one value for each of {count} patients", list(values.shape))
        return
    missing = ~np.isfinite(values)
    if missing.any():
        who = int(np.flatnonzero(missing)[0])
        findings.add(f"{place}[{who}]", "must have a value", float(values[who]))
    elif covariate.levels and not np.isin(values, covariate.numbers).all():
        who = int(np.flatnonzero(~np.isin(values, covariate.numbers))[0])
        findings.add(f"{place}[{who}]", f"must be one of: {covariate.told}", float(values[who]))
