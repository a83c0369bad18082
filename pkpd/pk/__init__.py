"""Pharmacokinetic structures; a name in `__all__` is a `structure` in a model file."""

from pkpd.pk.absorption import (
    AbstractAbsorption,
    Bolus,
    DualAbsorption,
    FirstOrder,
    Inlet,
    LymphTransit,
    ParallelAbsorption,
    SequentialAbsorption,
    TransitAbsorption,
    ZeroOrder,
)
from pkpd.pk.disposition import AbstractDisposition, OneCompartment, ThreeCompartment, TwoCompartment
from pkpd.pk.elimination import MichaelisMenten, TargetMediated, TimeVarying
from pkpd.pk.production import Circadian, ClippedCircadian
from pkpd.pk.target import TargetBound

__all__ = [
    "AbstractAbsorption",
    "AbstractDisposition",
    "Bolus",
    "Circadian",
    "ClippedCircadian",
    "DualAbsorption",
    "FirstOrder",
    "Inlet",
    "LymphTransit",
    "MichaelisMenten",
    "OneCompartment",
    "ParallelAbsorption",
    "SequentialAbsorption",
    "TargetBound",
    "TargetMediated",
    "ThreeCompartment",
    "TimeVarying",
    "TransitAbsorption",
    "TwoCompartment",
    "ZeroOrder",
]
