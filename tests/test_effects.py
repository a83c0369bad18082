"""Covariates that act on parameters, by model files."""

from pathlib import Path

import pytest

from pkpd.catalogue import load_card, load_model
from tests.doctored import at, edited

MEANT = (
    "must be e_<covariate>_<parameter>, a covariate of [covariates] and a parameter of this table, "
    'but is "e_age_vc".'
)


def test_covariates_act_on_parameters(folder: Path) -> None:
    where = 'source = "smith2019", at = "Table 3" }'
    effects = f"""e_wt_vc = {{ value = 0.8, unit = "1", form = "power", rse = 0.1, {where}
e_age_vc = {{ value = -0.02, unit = "1/year", form = "linear", {where}
e_wt_q = {{ value = 0.00003, unit = "1/g", form = "exponential", {where}
vp = {{"""
    assert edited("drugx.toml", "vp = {", effects) == ["drugx.toml: pk.e_age_vc: " + MEANT]
    age = f'[covariates]\nage = {{ value = 60, unit = "year", {where}'
    assert edited("drugx.toml", "[covariates]", age) == []
    model, card = load_model("./drugx.toml"), load_card("./drugx.toml")
    assert at(model, "drugx.e_wt_q") == pytest.approx(0.03)  # per kg
    assert card.parts["drugx"].effects["e_wt_vc"] == "power of wt, reference 70000 g"
    assert card.parameters["drugx.e_wt_vc"].rse == 0.1
    light = model.under({"wt": 50.0, "age": 70.0})
    assert at(light, "drugx.vc") == pytest.approx(6.0 * (50.0 / 70.0) ** 0.8 * (1.0 - 0.02 * 10.0))
    assert at(light, "drugx.q") == 0.0
    assert at(model.under({"age": 70.0}), "drugx.vc") == pytest.approx(6.0 * 0.8)
    own = f'[drugs.drugx.set]\ne_wt_vc = {{ value = 1, unit = "1", form = "power", {where}'
    assert edited("illness.toml", "[drugs.drugx.set]", own.replace("smith2019", "green2022")) == []
    assert at(load_model("./illness.toml"), "drugx.e_wt_vc") == 1.0
