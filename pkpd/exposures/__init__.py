"""Exposure metrics of simulated patients, by interval."""

from pkpd.exposures.exposure import Exposure, exposure

__all__ = ["Exposure", "exposure"]
