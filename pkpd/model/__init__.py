"""Drugs, pools, tumours and outcomes, wired into one model."""

from pkpd.model.model import Drug, Model
from pkpd.model.wiring import Wires, wire

__all__ = ["Drug", "Model", "Wires", "wire"]
