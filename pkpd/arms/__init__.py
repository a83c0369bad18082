"""The door for evidence: `arms.csv` in, arms with their counts and reports out."""

from pkpd.arms.reading import check_arms, load_arms, read_arms, remarks_of
from pkpd.arms.table import ArmTable, Count, Curve, Mean, Median, Ratio, Report

__all__ = [
    "ArmTable",
    "Count",
    "Curve",
    "Mean",
    "Median",
    "Ratio",
    "Report",
    "check_arms",
    "load_arms",
    "read_arms",
    "remarks_of",
]
