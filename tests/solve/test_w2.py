"""A model that is nobody's, written as files: every solver must follow equations written out here.

    A1' = -KA1 A1                             A2' = KA1 A1 - (CL1/V1) Z A2         C1 = A2/V1
    M1' = -KA2 M1                             C2 = M2/V2
    M2' =  KA2 M1 - (CL2/V2 + Q2/V2) M2 + (Q2/V3) M3      M3' = (Q2/V2) M2 - (Q2/V3) M3
    Z'  = KZ (1 + EZ C1/(ECZ + C1) - Z)
    E'  = KE (1 + EMX C1/(EC50 + C1) (1 + POT C2/(ECM + C2)) - E)
    T'  = KG T (1 - T/TMAX) - KK (E - 1) T
    H'  = H0 (T/50)^0.7    HT' = HT0 C1/(0.05 + C1)    U1' = C1    U2' = C2

28 daily doses: 3 MIU at 24 k hours into A1 and 15 % of 40 mg at 24 k + 2 hours into M1.
"""

from functools import partial
from itertools import pairwise
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from pkpd.catalogue import load_model
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.simulation import simulate
from pkpd.solve import ODE, AbstractSolver, Multirate

FILE = Path(__file__).parents[1] / "data" / "w2" / "w2.toml"
REGIMEN = "cytokine 3 MIU sc q24h x28 + hormone 40 mg po q24h x28 from 2 h"
TIMES = (168.0, 336.0, 670.0, 672.0, 1008.0, 1440.0)
NAMES = ("KA1", "CL1", "V1", "KA2", "CL2", "V2", "EMX", "KG", "KK", "T0")
TYPICAL = (0.30, 10.0, 15.0, 1.50, 70.0, 80.0, 4.0, 0.0004, 0.0010, 50.0)
SPREAD = (0.30, 0.30, 0.25, 0.40, 0.40, 0.30, 0.30, 0.30, 0.40, 0.30)
PATHS = (
    "cytokine.sc.ka",
    "cytokine.cl",
    "cytokine.v",
    "hormone.po.ka",
    "hormone.cl",
    "hormone.vc",
    "stimulus.emax",
    "tumour.kg",
    "tumour.kkill",
    "tumour.size0",
)
OUTPUTS = (
    "cytokine.pool.level",
    "effector.level",
    "tumour.size",
    "hazard.total",
    "toxic_hazard.total",
    "cytokine_auc.total",
    "hormone_auc.total",
)
ETA = np.random.default_rng(20260101).standard_normal((3, len(NAMES)))


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(FILE)


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    """The outputs by scipy alone [outputs, times, patients]."""
    return np.stack([by_scipy(eta) for eta in ETA], axis=-1)


def by_scipy(eta: np.ndarray) -> np.ndarray:
    """One patient, restarted at each dose and at each time of interest [outputs, times]."""
    p = dict(zip(map(str, NAMES), np.array(TYPICAL) * np.exp(np.array(SPREAD) * eta), strict=True))
    doses: dict[float, tuple[int, float]] = {24.0 * k: (0, 3.0) for k in range(28)}
    doses |= {24.0 * k + 2.0: (2, 0.15 * 40.0) for k in range(28)}
    y = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, p["T0"], 0.0, 0.0, 0.0, 0.0])
    rows = []
    for begin, end in pairwise(sorted({*doses, *TIMES})):
        if begin in doses:
            state, amount = doses[begin]
            y[state] += amount
        solution = solve_ivp(partial(right, p=p), (begin, end), y, "DOP853", rtol=1e-12, atol=1e-14)
        y = solution.y[:, -1].copy()
        if end in TIMES:
            rows.append(y[5:])
    return np.array(rows).T


def right(_: float, y: np.ndarray, p: dict[str, float]) -> list[float]:
    a1, a2, m1, m2, m3, z, e, t = y[:8]
    c1, c2 = a2 / p["V1"], m2 / p["V2"]
    exchange = 30.0 / p["V2"] * m2 - 30.0 / 60.0 * m3
    stimulus = p["EMX"] * c1 / (0.03 + c1) * (1.0 + 1.0 * c2 / (0.005 + c2))
    return [
        -p["KA1"] * a1,
        p["KA1"] * a1 - p["CL1"] / p["V1"] * z * a2,
        -p["KA2"] * m1,
        p["KA2"] * m1 - p["CL2"] / p["V2"] * m2 - exchange,
        exchange,
        0.010 * (1.0 + 2.0 * c1 / (0.02 + c1) - z),
        0.020 * (1.0 + stimulus - e),
        p["KG"] * t * (1.0 - t / 1000.0) - p["KK"] * (e - 1.0) * t,
        1e-5 * (t / 50.0) ** 0.7,
        5e-4 * c1 / (0.05 + c1),
        c1,
        c2,
    ]


def worst(model: Model, solver: AbstractSolver, reference: np.ndarray) -> float:
    """Largest error relative to the output, or to a thousandth of its largest value of the patient."""
    patients = Patients(dict(zip(PATHS, jnp.asarray(ETA.T), strict=True)), len(ETA))
    found = simulate(model, REGIMEN, TIMES, patients, outputs=OUTPUTS, solver=solver).outputs
    values = np.stack([np.asarray(found[name]) for name in OUTPUTS])
    scale = np.maximum(np.abs(reference), 1e-3 * np.abs(reference).max(axis=1, keepdims=True))
    return float((np.abs(values - reference) / scale).max())


def test_the_files_hold_the_numbers_of_the_workload(model: Model) -> None:
    assert [float(model.get(path)) for path in PATHS] == pytest.approx(TYPICAL)
    assert {path: float(model.variability[path]) for path in PATHS} == dict(zip(PATHS, SPREAD, strict=True))
    assert set(model.variability) == set(PATHS)
    assert len(model.states) == 12


def test_the_reference_solver_follows_the_equations(model: Model, reference: np.ndarray) -> None:
    assert worst(model, ODE(rtol=1e-10, atol=1e-12), reference) < 1e-7


def test_the_production_solver_follows_the_equations(model: Model, reference: np.ndarray) -> None:
    assert worst(model, Multirate(), reference) < 3e-5
    assert worst(model, Multirate(per_day=48.0), reference) < 1e-6
