"""Pharmacodynamic structures; a name in `__all__` is a `structure` in a model file."""

from pkpd.pd.delay import Memory
from pkpd.pd.direct import Amplifier, Emax, Potentiation, Power, SigmoidEmax
from pkpd.pd.tumour import TumourGrowth
from pkpd.pd.turnover import Accumulator, Turnover

__all__ = [
    "Accumulator",
    "Amplifier",
    "Emax",
    "Memory",
    "Potentiation",
    "Power",
    "SigmoidEmax",
    "TumourGrowth",
    "Turnover",
]
