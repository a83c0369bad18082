"""Pharmacokinetic structures; a name in `__all__` is a `structure` in a model file."""

from pkpd.pk.absorption import AbstractAbsorption, Bolus, FirstOrder, LymphTransit
from pkpd.pk.disposition import AbstractDisposition, OneCompartment, ThreeCompartment, TwoCompartment
from pkpd.pk.elimination import TargetMediated

__all__ = [
    "AbstractAbsorption",
    "AbstractDisposition",
    "Bolus",
    "FirstOrder",
    "LymphTransit",
    "OneCompartment",
    "TargetMediated",
    "ThreeCompartment",
    "TwoCompartment",
]
