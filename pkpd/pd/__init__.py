"""Pharmacodynamic structures; a name in `__all__` is a `structure` in a model file."""

from pkpd.pd.delay import EffectCompartment, Memory, TransitChain
from pkpd.pd.direct import (
    Amplifier,
    Emax,
    Imax,
    Linear,
    Potentiation,
    Power,
    Response,
    SigmoidEmax,
    SigmoidImax,
)
from pkpd.pd.marrow import Myelosuppression
from pkpd.pd.tumour import Simeoni, SteinFojo, TumourGrowth
from pkpd.pd.turnover import Accumulator, PrecursorTurnover, Turnover

__all__ = [
    "Accumulator",
    "Amplifier",
    "EffectCompartment",
    "Emax",
    "Imax",
    "Linear",
    "Memory",
    "Myelosuppression",
    "Potentiation",
    "Power",
    "PrecursorTurnover",
    "Response",
    "SigmoidEmax",
    "SigmoidImax",
    "Simeoni",
    "SteinFojo",
    "TransitChain",
    "TumourGrowth",
    "Turnover",
]
