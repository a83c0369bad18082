"""Outcomes of one patient; a name in `__all__` is a `structure` in a model file."""

from pkpd.response.binary import ExposureResponse, PerformanceStatus
from pkpd.response.outcome import AbstractOutcome, AbstractRecord, AbstractSurvival, Course
from pkpd.response.residual import (
    AbstractResidual,
    AdditiveError,
    CombinedError,
    LogNormalError,
    ProportionalError,
)
from pkpd.response.survival import (
    ExponentialSurvival,
    GompertzSurvival,
    LogLogisticSurvival,
    WeibullSurvival,
)
from pkpd.response.visits import WHOResponse

__all__ = [
    "AbstractOutcome",
    "AbstractRecord",
    "AbstractResidual",
    "AbstractSurvival",
    "AdditiveError",
    "CombinedError",
    "Course",
    "ExponentialSurvival",
    "ExposureResponse",
    "GompertzSurvival",
    "LogLogisticSurvival",
    "LogNormalError",
    "PerformanceStatus",
    "ProportionalError",
    "WHOResponse",
    "WeibullSurvival",
]
