"""Profiles are drawn as they were found, on the scale on which the prior is normal."""

import numpy as np
import pytest

from pkpd.checks import InputError
from pkpd.plot import plot_profile

PLACES = np.linspace(-3.0, 3.0, 7)


def curve(drop, found=True):
    return {
        "places": np.exp(PLACES).tolist(),
        "normal": PLACES.tolist(),
        "drop": drop.tolist(),
        "found": found,
    }


def one(found=True):
    flat = curve(np.zeros(7), found)
    return {"unit": "1/day", "posterior": curve(-0.5 * PLACES**2), "likelihood": flat}


def test_curves_and_ticks():
    figure = plot_profile({"tumour.kkill": one(), "survival.scale": one()})
    first, second = figure.axes
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["tumour.kkill", "survival.scale"]
    lines = {line.get_label(): line for line in first.lines if not str(line.get_label()).startswith("_")}
    assert set(lines) == {"posterior", "likelihood", "prior"}
    assert np.asarray(lines["likelihood"].get_ydata()) == pytest.approx(np.zeros(200))
    assert np.asarray(lines["posterior"].get_ydata()).min() == pytest.approx(-4.5)
    assert [text.get_text() for text in first.get_xticklabels()] == ["0.05", "1", "20"]


def test_a_place_that_was_not_found_has_a_cross():
    (axes,) = plot_profile({"a": one(found=False)}).axes
    assert [line.get_marker() for line in axes.lines].count("x") == 1


def test_nothing_to_draw():
    with pytest.raises(InputError, match="must hold a parameter"):
        plot_profile({})
