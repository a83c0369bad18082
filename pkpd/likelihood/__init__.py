"""How probable the evidence of an arm is under a model."""

from pkpd.likelihood.counts import (
    clopper_pearson,
    log_binomial,
    log_joint_counts,
    log_product_counts,
    marginal,
)
from pkpd.likelihood.means import log_mean
from pkpd.likelihood.survival import cox_log_ratio, log_hazard_ratio, log_kaplan_meier, log_median

__all__ = [
    "clopper_pearson",
    "cox_log_ratio",
    "log_binomial",
    "log_hazard_ratio",
    "log_joint_counts",
    "log_kaplan_meier",
    "log_mean",
    "log_median",
    "log_product_counts",
    "marginal",
]
