"""How probable the evidence of an arm is under a model."""

from pkpd.likelihood.counts import (
    clopper_pearson,
    log_binomial,
    log_joint_counts,
    log_product_counts,
    marginal,
)

__all__ = ["clopper_pearson", "log_binomial", "log_joint_counts", "log_product_counts", "marginal"]
