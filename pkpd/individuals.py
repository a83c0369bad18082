"""Virtual patients of a model, and the parameters of each."""

import dataclasses
from collections.abc import Mapping, Sequence

import equinox as eqx
import numpy as np

from pkpd.model import Model
from pkpd.population import Patients, correlated, draw_patients, given_covariates
from pkpd.solve.parts import parts_of


def sample_patients(
    model: Model,
    count: int,
    seed: int = 0,
    groups: int = 1,
    *,
    covariates: Mapping[str, Sequence[float] | np.ndarray] | None = None,
    occasions: int | Sequence[float] = 1,
) -> Patients:
    """`count` patients of a model on scrambled Sobol points; the same seed gives the same patients.

    Patients differ in everything within each of `groups`; from group to group they differ in their slow
    parts only and repeat their kinetics, which a solver may compute once. Covariates are as they are given,
    in the model's units, else as the model says that they are spread, else at their reference. `occasions`
    are the times at which they begin, the first at 0, or how many there are in records.
    Raises `InputError` where a covariate is unknown or missing in a patient.
    """
    repeated = parts_of(model).kinetics if groups > 1 else frozenset()
    shared = [path for path in model.variability if path.rpartition(".")[0] in repeated]
    given = given_covariates(covariates or {}, model.covariates, count)
    starts = range(occasions) if isinstance(occasions, int) else occasions
    found = draw_patients(
        model.variability,
        count,
        seed,
        shared,
        groups,
        covariates=[c for c in model.covariates if c.name not in given],
        correlations=model.correlations,
        occasional=model.occasional,
        starts=tuple(map(float, starts)),
    )
    return eqx.tree_at(lambda p: p.covariates, found, found.covariates | given)


def individualise(model: Model, patients: Patients) -> Model:
    """Each patient's own parameters as the last axis: typical values under his covariates, moved by
    correlated effects; and by those of the occasion where there is one only."""
    typical = model.under(patients.covariates)
    eta = (
        correlated(patients.eta, model.correlations, _by_part(model)) if model.correlations else patients.eta
    )
    effects = {p: model.variability[p] * v for p, v in eta.items()}
    own = typical.replace({p: model.varied(p, typical.get(p), v) for p, v in effects.items()})
    own = dataclasses.replace(own, moved={p: v for p, v in effects.items() if p in dict(model.forms)})
    once = len(patients.starts) == 1
    return own.under({f"{p}.kappa": v[0] for p, v in patients.kappa.items() if once})


def _by_part(model: Model) -> list[str]:
    """Parameters that differ, kinetics first: what they share in groups of patients stays shared."""
    kinetics = parts_of(model).kinetics
    return sorted(model.variability, key=lambda path: (path.rpartition(".")[0] not in kinetics, path))
