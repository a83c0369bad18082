"""The pictures of a fit, all at once."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from pkpd.individuals import sample_patients
from pkpd.infer.arm import Arm
from pkpd.infer.fit import Fit
from pkpd.model import Model
from pkpd.plot.arms import plot_arms
from pkpd.plot.cells import plot_cells
from pkpd.plot.exposure import exposure_times, plot_exposure
from pkpd.plot.files import save
from pkpd.plot.posterior import plot_posterior
from pkpd.plot.starts import plot_starts
from pkpd.plot.tumour import plot_tumour
from pkpd.response import WHOResponse
from pkpd.simulation import simulate


def fit_pictures(fit: Fit, folder: Path, patients: int = 200) -> list[Path]:
    """Writes arms, posterior, starts, and the course of the treated arm at the mode; says which files."""
    starts = fit.starts
    figures = {
        "arms": plot_arms(fit.arms, fit.predictions),
        "starts": plot_starts(np.asarray(starts["log_density"]), np.asarray(starts["converged"])),
    }
    figures["posterior"] = plot_posterior(fit.estimates, fit.points, fit.problem.priors)
    treated: Arm = max(fit.problem.arms, key=lambda arm: len(arm.events))
    model = fit.problem.at(jnp.asarray(fit.mode))
    group = sample_patients(model, patients, 0)
    day = model.units.day
    end = treated.events.end / day
    times = exposure_times(model, treated.events)
    exposure = simulate(model, treated.events, times, group, outcomes=False)
    figures["exposure"] = plot_exposure(exposure, model, treated.events)
    course = simulate(model, treated.events, np.arange(0.0, (end + 90) * day, day), group, outcomes=False)
    if any(path.endswith(".excess") for path in course.outputs):
        figures["cells"] = plot_cells(course, treated=end)
    if "tumour.log_ratio" in course.outputs:
        figures["tumour"] = plot_tumour(course, _visits(model), treated=end)
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        save(figure, path)
    return paths


def _visits(model: Model) -> list[float]:
    """Days of the visits at which the model's response is assessed."""
    parts = [part for part in model.outcomes.values() if isinstance(part, WHOResponse)]
    return [t / model.units.day for t in parts[0].visits] if parts else []
