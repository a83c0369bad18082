"""The pictures show what they say, in the units they name, and are written whole or not at all."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.infer.prior import Prior
from pkpd.model import Model
from pkpd.plot import (
    exposure_times,
    plot_arms,
    plot_cells,
    plot_exposure,
    plot_posterior,
    plot_starts,
    plot_tumour,
)
from pkpd.plot.bands import quantiles
from pkpd.simulation import Simulation

SCHEDULE = "aldesleukin 3 MIU sc q24h x5 + melatonin 40 mg po q24h x5"
DAYS = np.arange(0.0, 7.0 + 1e-9, 1 / 24)
ENDPOINTS = (("regression", 9, 0), ("alive(365 d)", 21, 5), ("ps_improved", 22, 8))
BY_CONSTRUCTION = "equal to no treatment by construction"


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("neuroimmunotherapy")


def simulation(patients: int = 40) -> Simulation:
    """Paths that need no solver: 1000 pmol/L and 300 nmol/L at the median of every midday, growing pools."""
    spread = np.exp(0.5 * np.random.default_rng(0).standard_normal(patients))
    spread /= np.median(spread)
    wave = np.maximum(np.sin(2 * np.pi * (DAYS - 0.25)), 0.0)[:, None] * spread
    rise = (1 - np.exp(-DAYS / 2))[:, None] * spread
    outputs = {
        "aldesleukin.central": 1e3 * wave,
        "melatonin.central": 3e5 * wave,
        "aldesleukin.pool.excess": 2.0 * rise,
        "effector.excess": 5.0 * rise,
        "tumour.log_ratio": 0.1 * DAYS[:, None] - rise,
    }
    return Simulation(
        jnp.asarray(DAYS), {k: jnp.asarray(v) for k, v in outputs.items()}, {}, (("", ""),), "day"
    )


def arm_rows() -> list[dict[str, Any]]:
    rows = []
    for i, (arm, n) in enumerate((("IL-2 + melatonin", 52), ("supportive care", 48))):
        for endpoint, *events in ENDPOINTS:
            p = (events[i] + 0.5) / n
            rows.append({"study": "L1995_SCC", "arm": arm, "endpoint": endpoint, "n": n, "events": events[i]})
            rows[-1] |= {"predicted": p, "posterior_mean": p + 0.02, "lo95": 0.5 * p, "hi95": 1.5 * p}
    return rows


def predicted_rows() -> list[dict[str, Any]]:
    p = {"endpoint": "regression", "predicted": 0.08, "posterior_mean": 0.09, "lo95": 0.01, "hi95": 0.25}
    return [p | {"arm": "il2_alone", "note": ""}, p | {"arm": "melatonin_alone", "note": BY_CONSTRUCTION}]


PRIORS = (
    ("tumour.kkill", Prior("lognormal", 0.002, 1.0)),
    ("survival.b_effect", Prior("normal", 0.0, 0.5)),
    ("melatonin.po.bioav", Prior("lognormal", 0.15, 0.3)),
)


def posterior() -> Figure:
    draws = np.random.default_rng(1).standard_normal((2, 300, 3)) * [0.4, 0.8, 1.0] + [1.0, 0.3, 0.0]
    units = ("1/day", "1", "")
    estimates = {
        path: {"unit": unit, "contraction": float(1 - draws[..., i].var())}
        for i, ((path, _), unit) in enumerate(zip(PRIORS, units, strict=True))
    }
    return plot_posterior(estimates, draws, PRIORS)


def starts() -> Figure:
    reached = [-20.0, -20.003, -21.0, np.nan, -20.0, -35.0]
    return plot_starts(np.asarray(reached), np.array([True, True, True, True, True, False]))


PICTURES: dict[str, Callable[[Model], Figure]] = {
    "exposure": lambda model: plot_exposure(simulation(), model, SCHEDULE),
    "exposure of one patient": lambda model: plot_exposure(simulation(1), model, SCHEDULE),
    "exposure to one drug": lambda model: plot_exposure(
        only("aldesleukin.central"), model, "aldesleukin 3 MIU sc"
    ),
    "no exposure": lambda model: plot_exposure(only(), model, "none"),
    "cells": lambda model: plot_cells(simulation(), treated=5.0),
    "tumour": lambda model: plot_tumour(simulation(), visits=(3.0, 6.0), treated=5.0),
    "arms": lambda model: plot_arms(arm_rows(), predicted_rows()),
    "arms at the mode": lambda model: plot_arms([{**row, "posterior_mean": None} for row in arm_rows()]),
    "posterior": lambda model: posterior(),
    "starts": lambda model: starts(),
}


def only(*given: str) -> Simulation:
    """The simulation with concentrations of some drugs only."""
    full = simulation()
    outputs = {k: v if k in given else 0.0 * v for k, v in full.outputs.items()}
    return Simulation(full.times, outputs, {}, full.units, "day")


@pytest.fixture(params=PICTURES)
def picture(request: pytest.FixtureRequest, model: Model) -> Figure:
    return PICTURES[request.param](model)


def drawn_texts(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> dict[Text, Any]:
    """Every text that is drawn, and its box in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found: dict[Text, Any] = {}
    draw = Text.draw

    def record(self: Text, renderer: Any, *args: Any, **kwargs: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            found[self] = self.get_window_extent(renderer)
        draw(self, renderer, *args, **kwargs)

    monkeypatch.setattr(Text, "draw", record)
    canvas.draw()
    return found


def test_nothing_is_cut_off_and_no_text_covers_another(
    picture: Figure, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = drawn_texts(picture, monkeypatch)
    assert len(boxes) > 5
    page = picture.bbox.padded(1.0)
    outside = [
        t.get_text() for t, b in boxes.items() if not (page.contains(*b.min) and page.contains(*b.max))
    ]
    assert not outside
    pairs = combinations(boxes.items(), 2)
    covered = [
        (a.get_text(), b.get_text()) for (a, x), (b, y) in pairs if x.padded(-1.5).overlaps(y.padded(-1.5))
    ]
    assert not covered


def test_every_picture_has_a_title_a_caption_and_a_unit_on_every_outer_axis(picture: Figure) -> None:
    assert picture.get_suptitle()
    assert len(picture.get_supxlabel()) > 40
    labels = [axes.get_xlabel() for axes in picture.axes] + [axes.get_ylabel() for axes in picture.axes]
    named = [label for label in labels if label and label != "density"]
    assert named
    assert all(label.endswith(")") and "(" in label for label in named)


def test_exposure_is_in_familiar_units_with_molar_ones_beside(model: Model) -> None:
    figure = plot_exposure(simulation(), model, SCHEDULE)
    course, day, melatonin, _ = figure.axes
    assert course.get_ylabel() == "concentration (IU/mL)"
    assert melatonin.get_ylabel() == "concentration (ng/mL)"
    # 18 MIU are 1.1 mg, 15,300 g/mol; melatonin has 232.28 g/mol.
    assert top_of(course) == pytest.approx(1e-9 * 15300 * 1e3 * 18e6 / 1.1 / 1e3, rel=1e-4)
    assert top_of(melatonin) == pytest.approx(0.3 * 232.28, rel=1e-4)
    right = [axes.get_ylabel() for panel in figure.axes for axes in panel.child_axes]
    assert right == ["concentration (nM)", "concentration (nM)"]
    figure.draw_without_rendering()
    assert day.child_axes[0].get_ylim()[1] / day.get_ylim()[1] == pytest.approx(1.1 / (15.3 * 18), rel=1e-4)


def test_exposure_marks_doses_and_compares_the_last_day_with_the_first(model: Model) -> None:
    course, day, *_ = plot_exposure(simulation(), model, SCHEDULE).axes
    [doses] = [line for line in course.lines if line.get_marker() == "v"]
    assert doses.get_xdata() == pytest.approx(np.arange(5.0))
    assert day.get_title(loc="left") == "Day 5"
    assert {"median", "median, day 1"} <= set(legend_of(day))
    assert day.get_xlim() == (0.0, 24.0)


def test_days_count_from_the_start_also_for_an_evening_dose(model: Model) -> None:
    day = plot_exposure(simulation(), model, "aldesleukin 3 MIU sc q24h x5 from 20 h").axes[1]
    assert day.get_title(loc="left") == "Day 5"
    assert "median, day 1" in legend_of(day)


def test_each_drug_has_its_own_first_and_last_day(model: Model) -> None:
    regimen = "melatonin 40 mg po q24h x5 + (rest 1 d then aldesleukin 3 MIU sc q24h x3)"
    figure = plot_exposure(simulation(), model, regimen)
    figure.draw_without_rendering()  # a layout that collapses is a warning, and that an error
    assert [axes.get_title(loc="left") for axes in figure.axes[1::2][:2]] == ["Day 4", "Day 5"]
    assert "median, day 2" in legend_of(figure.axes[1])


def test_a_drug_that_is_not_given_says_so(model: Model) -> None:
    figure = PICTURES["exposure to one drug"](model)
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert said == ["not given", "not given"]
    assert "first day" not in figure.get_supxlabel()


def test_a_course_cut_short_shows_its_last_day_that_was_simulated(model: Model) -> None:
    full = simulation()
    early = DAYS <= 3.0 + 1e-9
    cut = Simulation(full.times[early], {k: v[early] for k, v in full.outputs.items()}, {}, full.units, "day")
    day = plot_exposure(cut, model, SCHEDULE).axes[1]
    assert day.get_title(loc="left") == "Day 3"
    assert len(line_of(day, "median")) == 25
    nothing = Simulation(
        full.times, {"effector.excess": full.outputs["effector.excess"]}, {}, full.units, "day"
    )
    with pytest.raises(InputError, match=r"<drug>\.central"):
        plot_exposure(nothing, model, SCHEDULE)


def test_exposure_times_are_close_where_concentrations_change(model: Model) -> None:
    times = exposure_times(model, SCHEDULE)
    assert times[0] == 0.0
    assert times[-1] >= 7.0
    assert np.all(np.diff(times) > 0.0)
    after_third = times[(times >= 2.0) & (times <= 2.0 + 1.01 / 12)]
    assert np.max(np.diff(after_third)) < 0.6 / 24
    last_day = times[(times >= 4.0) & (times <= 5.0)]
    assert np.max(np.diff(last_day)) < 0.18 / 24
    assert exposure_times(model, "none")[-1] > 2.0


def test_bands_hold_half_and_95_percent_of_the_patients() -> None:
    values = np.arange(1001.0)[None, :] * np.array([[1.0], [2.0]])
    assert quantiles(values)[:, 0] == pytest.approx([25, 250, 500, 750, 975])
    assert quantiles(values)[:, 1] == pytest.approx([50, 500, 1000, 1500, 1950])


def test_cells_are_relative_to_the_start() -> None:
    effector, receptor = plot_cells(simulation(), treated=5.0).axes
    assert effector.get_title(loc="left") == "Effector cells, E/E₀"
    assert "R/R₀" in receptor.get_title(loc="left")
    for axes, height in ((effector, 5.0), (receptor, 2.0)):
        line = line_of(axes, "median")
        assert line[0] == pytest.approx(1.0)
        assert line[-1] == pytest.approx(1.0 + height * (1 - np.exp(-3.5)))


def test_tumour_shows_thresholds_visits_and_single_patients() -> None:
    [axes] = plot_tumour(simulation(), visits=(3.0, 6.0), samples=7).axes
    flat = [float(np.ravel(line.get_ydata())[0]) for line in axes.lines if line.get_linestyle() == "--"]
    assert flat == pytest.approx([0.7071, 1.1180], abs=1e-4)
    [visits] = [line for line in axes.lines if line.get_marker() == "^"]
    assert visits.get_xdata() == pytest.approx([3.0, 6.0])
    assert sum(line.get_linewidth() == 0.5 for line in axes.lines) == 7
    assert axes.get_yscale() == "log"


def test_tumour_and_cells_name_what_is_missing() -> None:
    with pytest.raises(InputError, match=r'Did you mean "tumour\.log_ratio"\?'):
        plot_tumour(simulation(), path="tumor.log_ratio")
    empty = Simulation(jnp.zeros(2), {"effector.level": jnp.ones((2, 1))}, {}, (), "day")
    with pytest.raises(InputError, match=r"ends in \.excess"):
        plot_cells(empty)


def test_arms_show_counts_with_exact_intervals() -> None:
    fitted, others = plot_arms(arm_rows(), predicted_rows()).axes
    marks = [line for line in fitted.lines if line.get_label() == "observed"]
    shares = sorted(float(np.ravel(line.get_xdata())[0]) for line in marks)
    assert shares == pytest.approx(
        sorted(100 * k / n for _, a, b in ENDPOINTS for k, n in ((a, 52), (b, 48)))
    )
    ends = [
        np.asarray(line.get_xdata(), float) for line in fitted.lines if len(np.ravel(line.get_xdata())) == 2
    ]
    nothing = [end for end in ends if end[0] == 0.0]
    # 0 of 48: the upper limit p solves (1 - p)^48 = 0.025.
    assert [end[1] for end in nothing] == pytest.approx([100 * (1 - 0.025 ** (1 / 48))])
    said = [text.get_text() for text in fitted.texts]
    assert {"9/52 = 17 %", "0/48 = 0 %", "Alive at 1 year"} <= set(said)
    assert others.get_title(loc="left") == "Predicted, not fitted"
    assert [t.get_text() for t in others.get_yticklabels()] == ["IL-2 alone", "melatonin alone*"]


def test_arms_say_that_reproduction_is_not_validation() -> None:
    caption = plot_arms(arm_rows(), predicted_rows()).get_supxlabel().replace("\n", " ")
    assert "reproduction of fitted counts, not validation" in caption
    assert f"* {BY_CONSTRUCTION}." in caption
    with pytest.raises(InputError, match="must hold an arm"):
        plot_arms([])


def test_posterior_orders_by_contraction_and_ticks_are_the_prior() -> None:
    panels = [axes for axes in posterior().axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left").split("\n")[0] for axes in panels] == [path for path, _ in PRIORS]
    assert panels[0].get_title(loc="left").endswith(" %")
    assert panels[0].get_xlabel() == "(1/day)"
    # 0.002 exp(±1.96): the 95 % range of the log-normal.
    assert [tick.get_text() for tick in panels[0].get_xticklabels()] == ["2.8e−4", "0.002", "0.014"]
    assert [tick.get_text() for tick in panels[1].get_xticklabels()] == ["−0.98", "0", "0.98"]
    prior = panels[0].lines[0]
    assert np.max(prior.get_ydata()) == pytest.approx(1 / np.sqrt(2 * np.pi))
    weights = [
        text.get_fontweight() for axes in panels for text in texts_of(axes, axes.get_title(loc="left"))
    ]
    assert weights == ["bold", "normal", "normal"]


def test_posterior_names_every_fault() -> None:
    with pytest.raises(InputError) as caught:
        plot_posterior({PRIORS[0][0]: {"unit": "1", "contraction": 0.5}}, np.zeros((10, 3)), PRIORS)
    assert "draws: must vary" in str(caught.value)
    assert len(caught.value.faults) == 3
    with pytest.raises(InputError, match="must have 3 parameters on the last axis, but is 2"):
        plot_posterior({}, np.zeros((10, 2)), PRIORS)


def test_starts_count_those_that_agree() -> None:
    figure = starts()
    assert figure.get_suptitle() == "3 of 6 starts reached the same mode"
    converged, failed = figure.axes[0].lines
    assert np.asarray(converged.get_ydata())[:4] == pytest.approx([1e-6, 1e-6, 0.003, 1.0])
    assert failed.get_ydata() == pytest.approx([15.0])
    lost = plot_starts(np.array([-1.0, 1e30, -1.0]), np.array([True, False, True]))
    assert lost.get_suptitle() == "2 of 3 starts reached the same mode"
    with pytest.raises(InputError, match="must hold a number"):
        plot_starts(np.array([np.nan, -np.inf]), np.array([True, True]))


def top_of(axes: Axes) -> float:
    return float(np.max(line_of(axes, "median")))


def line_of(axes: Axes, label: str) -> np.ndarray:
    [line] = [line for line in axes.lines if line.get_label() == label]
    return np.asarray(line.get_ydata(), float)


def legend_of(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def texts_of(axes: Axes, content: str) -> list[Text]:
    return [child for child in axes.get_children() if isinstance(child, Text) and child.get_text() == content]
