"""How patients differ: covariates, random effects between patients and between occasions."""

from pkpd.population.covariates import FORMS, Covariate, CovariateEffect
from pkpd.population.patients import Patients, draw_patients, given_covariates, typical_patient
from pkpd.population.variability import SPREADS, correlated, pair_of, unsound, varied

__all__ = [
    "FORMS",
    "SPREADS",
    "Covariate",
    "CovariateEffect",
    "Patients",
    "correlated",
    "draw_patients",
    "given_covariates",
    "pair_of",
    "typical_patient",
    "unsound",
    "varied",
]
