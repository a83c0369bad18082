"""Solvers; the caller chooses one, and it refuses models to which it does not apply."""

from pkpd.solve.closed_form import ClosedForm
from pkpd.solve.multirate import Multirate
from pkpd.solve.ode import ODE
from pkpd.solve.solver import AbstractSolver

__all__ = ["ODE", "AbstractSolver", "ClosedForm", "Multirate"]
