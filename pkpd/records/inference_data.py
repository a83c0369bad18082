"""Posteriors as ArviZ reads them: releases before 1 as InferenceData, later ones as xarray's DataTree."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import xarray

from pkpd.checks import fail
from pkpd.devices import float64
from pkpd.infer.prior import Prior
from pkpd.records.answer import Answer

if TYPE_CHECKING:
    from pkpd.infer.fit import Fit


def to_arviz(found: "Fit | Answer") -> Any:
    """The posterior draws of a fit, or those stored with an answer, in the parameters' units.

    A fit has its chains. The draws of a stored answer are thinned and are one chain, which cannot disagree
    with another: R-hat and effective sample sizes of the whole are in its `content["diagnostics"]`.
    Raises `InputError` where the fit is a quick look, or ArviZ is not installed.
    """
    posterior = _posterior(found)
    try:
        old = int(version("arviz").split(".")[0]) < 1
    except PackageNotFoundError as error:
        raise fail("arviz", "must be installed", hint='Install "pkpd[arviz]".') from error
    if old:
        import arviz

        return arviz.InferenceData(posterior=posterior)
    return xarray.DataTree.from_dict({"posterior": posterior})


def _posterior(found: "Fit | Answer") -> xarray.Dataset:
    """Draws [chain, draw] of each parameter, with its unit."""
    if found.draws is None:
        raise fail("fit", "must have draws: a quick look has none", hint="Fit without quick.")
    priors, points = _priors(found), np.asarray(found.draws)
    points = points if points.ndim == 3 else points[None]
    variables = {}
    with float64():
        for place, (name, (prior, unit)) in enumerate(priors.items()):
            values = np.asarray(prior.natural(jnp.asarray(points[..., place])))
            variables[name] = (("chain", "draw"), values, {"units": unit})
    chains, draws = points.shape[:2]
    return xarray.Dataset(variables, {"chain": np.arange(chains), "draw": np.arange(draws)})


def _priors(found: "Fit | Answer") -> dict[str, tuple[Prior, str]]:
    """By parameter, in the order of the draws, its prior and its unit."""
    if not isinstance(found, Answer):
        return {name: (prior, found.problem.unit(name)) for name, prior in found.problem.priors}
    told = found.content
    return {name: (Prior(*told["transforms"][name]), told["estimates"][name]["unit"]) for name in found.names}
