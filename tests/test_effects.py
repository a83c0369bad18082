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


def test_patients_of_a_file_differ_as_it_says(folder: Path) -> None:
    where = 'source = "smith2019", at = "Table 3"'
    added = f"""[covariates.sex]
levels = {{ female = 0, male = 1 }}
reference = "male"
shares = {{ female = 0.4, male = 0.6 }}
source = "smith2019"
at = "Table 1"

[correlations]
"drugx.vc ~ drugx.cl" = {{ value = 40, unit = "%", {where} }}
"wt~bsa" = {{ value = 0.8, unit = "1", {where} }}

[residuals.assay]
structure = "CombinedError"
inputs = {{ prediction = "drugx.central" }}
prop_sd = {{ value = 20, unit = "%", {where} }}
add_sd = {{ value = 1.53, unit = "ug/L", {where} }}

[pk]
e_sex_female_vc = {{ value = 0.9, unit = "1", form = "factor", {where} }}"""
    assert "covariates.wt" in edited("drugx.toml", "[pk]", added)[0]
    wide = 'value = 70000, iiv_sd = 10, median = 80000, within = [50000, 120000], unit = "g"'
    assert edited("drugx.toml", 'value = 70000, unit = "g"', wide) != []
    assert edited("drugx.toml", "iiv_sd = 10,", "iiv_sd = 12000,") != []
    assert edited("drugx.toml", 'why = "round",', 'why = "round", iiv_cv = 0.1,') == []
    assert edited("drugx.toml", "iiv = 0.28", "iiv_sd = 500, iov_sd = 900") == []
    model = load_model("./drugx.toml")
    assert at(model, "drugx.vc.iiv") == pytest.approx(0.5)  # L
    assert at(model, "drugx.vc.iov") == pytest.approx(0.9)
    assert model.declared["drugx.vc.iov"].dimension == "volume"
    assert model.declared["drugx.vc.iov"].meaning == "between-occasion SD of drugx.vc"
    assert model.declared["drugx.cl.iiv"].meaning == "between-patient SD of log drugx.cl"
    assert at(model, "drugx.cl~drugx.vc.corr") == pytest.approx(0.4)
    assert at(model, "drugx.assay.add_sd") == pytest.approx(1.53e-6 / 15300 * 1e12)
    known = {covariate.name: covariate for covariate in model.covariates}
    assert (known["wt"].spread, known["wt"].median, known["wt"].within) == (12.0, 80.0, (50.0, 120.0))
    assert known["bsa"].form == "lognormal"
    assert known["sex"].reference == 1.0
    assert at(model.under({"sex": 0.0}), "drugx.vc") == pytest.approx(6.0 * 0.9)
    assert model.reads == {"sex", "occ"}
    used = load_model("./illness.toml")
    assert "drugx.cl.iiv" not in used.declared
    assert not used.correlations.keys() & {"drugx.cl~drugx.vc"}
    assert at(used, "covariates.bsa~covariates.wt.corr") == pytest.approx(0.8)
    assert "drugx.assay" in used.residuals
