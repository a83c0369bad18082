"""What an answer must meet before it is one."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pkpd.infer import laplace
from pkpd.infer.mode import Mode
from pkpd.infer.settings import GATES, Settings


def fit_checks(found: Mapping[str, Any], mode: Mode, settings: Settings, quick: bool) -> dict[str, bool]:
    """Whether a fit's diagnostics meet each gate; a quick look is not asked about sampling."""
    gates = {**GATES, **settings.gates}
    checks = {
        "gradient": mode.gradient < gates["gradient"],
        "hessian_positive": bool(np.linalg.eigvalsh(mode.hessian)[0] > 0),
        "starts_agree": found["starts_agree"] >= min(gates["starts_agree"], settings.starts),
        "patient_noise": found["patients"]["noise"] <= gates["patient_noise"],
    }
    return checks if quick else checks | sampling_checks(found, settings)


def sampling_checks(found: Mapping[str, Any], settings: Settings) -> dict[str, bool]:
    """Whether diagnostics of a sample meet each of its gates."""
    gates = {**GATES, **settings.gates}
    checks = {
        "rhat": found["rhat_max"] <= gates["rhat"],
        "ess_bulk": found["ess_bulk_min"] >= gates["ess_bulk"],
        "divergent": found["divergent"] < gates["divergent"],
    }
    if "emulator" in found:
        checks["emulator"] = found["emulator"]["pareto_k"] < laplace.TRUSTED
    return checks


def status_of(checks: Mapping[str, bool]) -> str:
    """`converged`, or which gates were not met."""
    failed = [name for name, met in checks.items() if not met]
    return "converged" if not failed else f"not converged: {', '.join(failed)}"
