"""What is timed: models under a schedule, and the patients, the same for every program."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from benchmarks import records
from pkpd.catalogue import load_model
from pkpd.individuals import sample_patients
from pkpd.model import Model
from pkpd.population import Patients

DATA = Path(__file__).parents[1] / "tests" / "data"
COLUMNS = {
    "KA1": "cytokine.sc.ka",
    "CL1": "cytokine.cl",
    "V1": "cytokine.v",
    "KA2": "hormone.po.ka",
    "CL2": "hormone.cl",
    "V2": "hormone.vc",
    "EMX": "stimulus.emax",
    "KG": "tumour.kg",
    "KK": "tumour.kkill",
    "T0": "tumour.size0",
}
BOTH = "cytokine 3 MIU sc q24h x28 + hormone 40 mg po q24h x28 from 2 h"
SHIPPED = "aldesleukin 3 MIU sc q24h x{n} + melatonin 40 mg po q24h x{n}"


class Workload(NamedTuple):
    """A model, a regimen, outputs at times in the unit of the model, and parameters for a gradient."""

    title: str
    model: str
    regimen: str
    outputs: tuple[str, ...]
    times: tuple[float, ...]
    slopes: tuple[str, ...]
    patients: Callable[[Model, int], Patients]

    def load(self) -> Model:
        """The model."""
        return load_model(self.model)


def numbered_patients(model: Model, count: int) -> Patients:
    """Patients by numpy's generator, as W1 and W2 define them."""
    eta = np.random.default_rng(20260101).standard_normal((count, len(COLUMNS)))
    columns = zip(COLUMNS.values(), eta.T, strict=True)
    return Patients({path: jnp.asarray(v) for path, v in columns if path in model.variability}, count)


def sobol_patients(model: Model, count: int) -> Patients:
    """The package's own virtual patients."""
    return sample_patients(model, count, 1)


def _shipped(days: int) -> Workload:
    slopes = ("aldesleukin.cl", "stimulus.ec50", "effector.kout", "tumour.kg")
    outputs = ("aldesleukin.pool.level", "effector.level", "memory.value", "tumour.size")
    weeks = tuple(7.0 * np.arange(1.0, 53.0))  # days, the unit of the model
    title = f"shipped model, {days} days of dosing, a year"
    return Workload(
        title, "neuroimmunotherapy", SHIPPED.format(n=days), outputs, weeks, slopes, sobol_patients
    )


WORKLOADS = {
    "w1": Workload(
        "W1: linear, two drugs, 28 doses, 841 times",
        str(DATA / "w1" / "w1.toml"),
        BOTH,
        ("cytokine.central", "hormone.central"),
        tuple(np.arange(0.0, 841.0)),
        ("cytokine.cl", "cytokine.sc.ka", "hormone.cl", "hormone.po.ka"),
        numbered_patients,
    ),
    "w2": Workload(
        "W2: nonlinear chain, a year, 54 times",
        str(DATA / "w2" / "w2.toml"),
        BOTH,
        (
            "cytokine.pool.level",
            "effector.level",
            "tumour.size",
            "hazard.total",
            "toxic_hazard.total",
            "cytokine_auc.total",
            "hormone_auc.total",
        ),
        (*np.arange(0.0, 8737.0, 168.0), 8760.0),
        ("cytokine.cl", "cytokine.pool.kout", "stimulus.emax", "tumour.kg"),
        numbered_patients,
    ),
    "shipped": _shipped(28),
    "shipped84": _shipped(84),
}
TITLES = {key: workload.title for key, workload in WORKLOADS.items()} | {"records": records.TITLE}
