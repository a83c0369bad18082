"""How patients differ: scales of effects, correlations, covariates; against numpy, scipy and a label."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.dosing import Records
from pkpd.individuals import individualise, sample_patients
from pkpd.model import Drug, wire
from pkpd.observed import simulate_records
from pkpd.pk import Bolus, FirstOrder, OneCompartment
from pkpd.population import Covariate, CovariateEffect, Patients, pair_of
from pkpd.simulation import bind, simulate
from pkpd.units import UnitSystem

UNITS = UnitSystem(time="h", amount="mg", volume="L")
COUNT = 4096
RACE = Covariate("race", 0.0, 0.0, levels=(("white", 0.0, 0.5), ("black", 1.0, 0.3), ("asian", 2.0, 0.2)))
WT = Covariate("wt", 70.0, 75.0, "normal", 15.0, (45.0, 110.0))
BSA = Covariate("bsa", 1.8, 1.8, "lognormal", 0.15)
EFFECTS = {
    CovariateEffect("drug.cl", "wt", "power", 70.0): 0.75,
    CovariateEffect("drug.cl", "race", "factor", 0.0, ("black", 1.0)): 1.3,
    CovariateEffect("drug.cl", "race", "exponential", 0.0, ("asian", 2.0)): -0.2,
    CovariateEffect("drug.v", "race", "linear", 0.0, ("asian", 2.0)): 0.5,
}
SPREADS = {"drug.cl": 0.4, "drug.v": 2.0, "drug.po.bioav": 0.8, "drug.po.ka": 0.3}
CORRELATIONS = {
    pair_of("drug.cl", "drug.v"): 0.6,
    pair_of("drug.po.ka", "drug.v"): -0.3,
    pair_of("covariates.wt", "covariates.bsa"): 0.8,
}


def model(**told):
    parts = {
        "drug.po": FirstOrder(ka=1.1, bioav=0.7),
        "drug.iv": Bolus(),
        "drug": OneCompartment(cl=2.0, v=10.0),
    }
    told = {"variability": SPREADS, "correlations": CORRELATIONS, "effects": EFFECTS} | told
    forms = {"drug.v": "normal", "drug.po.bioav": "logit"}
    return wire(
        parts,
        {},
        drugs=[Drug("drug", ("po", "iv"))],
        units=UNITS,
        covariates=[RACE, WT, BSA],
        forms=forms,
        **told,
    )


def faults(**told):
    with pytest.raises(InputError) as error:
        model(**told)
    return [str(fault) for fault in error.value.faults]


def test_effects_move_values_on_their_scale():
    eta = {path: jnp.array([0.0, 1.5, -2.0]) for path in SPREADS}
    own = individualise(model(correlations={}), Patients(eta, 3))
    assert own.get("drug.cl") == pytest.approx(2.0 * np.exp(0.4 * np.asarray(eta["drug.cl"])))
    assert own.get("drug.v") == pytest.approx(10.0 + 2.0 * np.asarray(eta["drug.v"]))
    assert own.get("drug.po.bioav") == pytest.approx(
        expit(logit(0.7) + 0.8 * np.asarray(eta["drug.po.bioav"]))
    )


def test_correlated_effects_have_the_covariance_of_their_matrix():
    built = model(effects={})
    own = individualise(built, sample_patients(built, COUNT, 1))
    columns = [np.log(own.get("drug.cl")), own.get("drug.v"), np.log(own.get("drug.po.ka"))]
    found = np.corrcoef(np.stack([np.asarray(v) for v in columns]))
    assert found == pytest.approx(np.array([[1, 0.6, 0], [0.6, 1, -0.3], [0, -0.3, 1]]), abs=0.02)
    eta = {path: jnp.array([v]) for path, v in zip(sorted(SPREADS), (0.3, -1.1, 0.7, 1.9), strict=True)}
    order = ("drug.cl", "drug.po.ka", "drug.v")
    matrix = np.array([[1, 0, 0.6], [0, 1, -0.3], [0.6, -0.3, 1]])
    expected = np.linalg.cholesky(matrix) @ np.array([eta[path][0] for path in order])
    own = individualise(built, Patients(eta, 1))
    assert np.log(own.get("drug.cl") / 2.0) / 0.4 == pytest.approx(expected[[0]])
    assert np.log(own.get("drug.po.ka") / 1.1) / 0.3 == pytest.approx(expected[[1]])
    assert (own.get("drug.v") - 10.0) / 2.0 == pytest.approx(expected[[2]])


def test_gradients_in_spreads_correlations_and_coefficients():
    built = model()
    patients = sample_patients(built, 16, 2)
    paths = (
        [f"{p}.iiv" for p in SPREADS] + [f"{pair_of('drug.cl', 'drug.v')}.corr"] + [e.path for e in EFFECTS]
    )

    @jax.jit
    def level(x):
        changed = built.replace({p: built.get(p) + x[i] for i, p in enumerate(paths)})
        return jnp.sum(
            simulate(changed, "drug 100 mg po q12h x2", [3.0, 20.0], patients).outputs["drug.central"]
        )

    at, step = jnp.zeros(len(paths)), 1e-5 * jnp.eye(len(paths))
    differences = [(level(e) - level(-e)) / 2e-5 for e in step]
    assert jax.grad(level)(at) == pytest.approx(np.array(differences), rel=1e-6, abs=1e-8)
    assert np.all(np.abs(np.array(differences)) > 1e-6)


def test_correlations_must_make_a_matrix_and_join_what_differs():
    strong = {pair_of("drug.cl", "drug.v"): 0.9, pair_of("drug.po.ka", "drug.v"): 0.9}
    assert faults(correlations=strong) == [
        "correlations of drug.cl, drug.po.ka, drug.v: must be a matrix that is positive definite. "
        "Its smallest eigenvalue is -0.273: correlations of a paper need all their digits."
    ]
    assert "positive definite" in faults(correlations={pair_of("drug.cl", "drug.v"): 1.0})[0]
    rule = "must join two parameters that have iiv, or two covariates that have a spread"
    for first, second in (("drug.cl", "drug.po.tlag"), ("drug.cl", "covariates.wt"), ("drug.cl", "drug.cl")):
        found = faults(correlations={f"{first}~{second}": 0.1})
        assert found[0] == f'correlations."{first}~{second}": {rule}, but is "{first} and {second}".'
    assert faults(occasional={"y.cl": 0.1}) == ['y.cl.iov: must belong to a component, but is "y.cl".']


def test_covariates_are_spread_as_told():
    known = sample_patients(model(), COUNT, 3).covariates
    low, high = (45.0 - 75.0) / 15.0, (110.0 - 75.0) / 15.0
    expected = stats.truncnorm(low, high, 75.0, 15.0)
    wt, bsa = np.asarray(known["wt"]), np.asarray(known["bsa"])
    assert stats.kstest(wt, expected.cdf).statistic < 0.01
    assert stats.kstest(bsa, stats.lognorm(0.15, scale=1.8).cdf).statistic < 0.01
    ranks = np.corrcoef(stats.rankdata(wt), stats.rankdata(bsa))[0, 1]
    assert ranks == pytest.approx(6 / np.pi * np.arcsin(0.4), abs=0.02)
    shares = [np.mean(np.asarray(known["race"]) == number) for number in (0.0, 1.0, 2.0)]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.005)


def test_covariates_and_levels_act():
    given = {"wt": [70.0, 70.0, 70.0, 140.0], "race": [0.0, 1.0, 2.0, 0.0]}
    patients = sample_patients(model(variability={}, correlations={}), 4, covariates=given)
    own = individualise(model(variability={}, correlations={}), patients)
    expected = [2.0, 2.0 * 1.3, 2.0 * np.exp(-0.2), 2.0 * 2.0**0.75]
    assert own.get("drug.cl") == pytest.approx(np.array(expected))
    assert own.get("drug.v") == pytest.approx(np.array([10.0, 10.0, 15.0, 10.0]))


def test_doses_per_weight_and_area_are_each_patients_own():
    patients = sample_patients(model(), 8, 4)
    events = bind(model(), "drug 2 mg/kg iv + drug 5 mg iv from 3 h", patients.covariates)
    amounts = np.asarray(events.amount)
    assert amounts[0] == pytest.approx(2.0 * np.asarray(patients.covariates["wt"]))
    assert amounts[1] == pytest.approx(np.full(8, 5.0))
    found = simulate(model(), "drug 2 mg/kg iv", [0.0, 1e-9], patients).outputs["drug.central"]
    own = individualise(model(), patients)
    assert found[1] == pytest.approx(np.asarray(amounts[0] / own.get("drug.v")), rel=1e-6)


def test_records_and_regimens_let_covariates_act_before_effects():
    """A normal effect is added to what a covariate makes of the typical value, a logit one too."""
    effects = {
        CovariateEffect("drug.v", "wt", "power", 70.0): 1.0,
        CovariateEffect("drug.po.bioav", "wt", "linear", 70.0): -0.002,
    }
    built = model(effects=effects)
    eta = {"drug.v": jnp.array([1.0, -2.0]), "drug.po.bioav": jnp.array([0.5, -1.0])}
    weights = (90.0, 55.0)
    patients = Patients(eta, 2, covariates={"wt": jnp.array(weights)})
    own = individualise(dataclasses.replace(built, correlations={}), patients)
    expected = 10.0 * np.array(weights) / 70.0 + 2.0 * np.array([1.0, -2.0])
    assert own.get("drug.v") == pytest.approx(expected)
    times = [1.0, 5.0, 30.0]
    whole = simulate(built, "drug 100 mg po", times, patients).outputs["drug.central"]
    rows = [
        row | {"id": who, "wt": wt}
        for who, wt in enumerate(weights)
        for row in (
            {"time": 0.0, "amt": 100.0, "cmt": "po", "evid": 1},
            *({"time": t, "evid": 0} for t in times),
        )
    ]
    found = simulate_records(built, Records.of(rows), Patients(eta, 2)).outputs["drug.central"]
    assert pytest.approx(np.asarray(whole), rel=1e-10) == found.reshape(2, -1).T


def test_wrong_covariates_are_told_together():
    wrong = {"wt": [70.0, np.nan], "race": [0.0, 3.0], "age": [1.0, 2.0], "bsa": [1.8]}
    with pytest.raises(InputError) as error:
        sample_patients(model(), 2, covariates=wrong)
    assert [str(fault) for fault in error.value.faults] == [
        "covariates.wt[1]: must have a value, but is nan.",
        "covariates.race[1]: must be one of: 0 (white), 1 (black), 2 (asian), but is 3.0.",
        'covariates.age: must be a covariate of the model, but is "age". Known: bsa, race, wt.',
        "covariates.bsa: must have one value for each of 2 patients, but is [1].",
    ]


def test_patients_do_not_depend_on_occasions_or_covariates_that_are_given():
    built = model(occasional={"drug.cl": 0.2})
    one, three = sample_patients(built, 32, 5), sample_patients(built, 32, 5, occasions=3)
    for path in SPREADS:
        assert np.array_equal(one.eta[path], three.eta[path])
    assert three.kappa["drug.cl"].shape == (3, 32)
    assert np.std(np.asarray(sample_patients(built, COUNT, 5).kappa["drug.cl"])) == pytest.approx(
        1.0, abs=0.01
    )


def test_virtual_patients_have_the_kinetics_of_the_label():
    """Nivolumab's label for professionals gives geometric means and variations over its patients; the model
    file has the reference patient's numbers, covariances and what its patients were like."""
    built = load_model("nivolumab")
    own = individualise(built, sample_patients(built, COUNT, 1))
    cl, vc, vp, change = (
        np.asarray(own.get(f"nivolumab.{symbol}")) for symbol in ("cl", "vc", "vp", "drift.emax")
    )
    late, q = cl * np.exp(change) / 0.024, np.asarray(own.get("nivolumab.q"))
    rates = np.array([cl * np.exp(change) / vc, q / vc, q / vp])
    total, product = rates.sum(0), rates[0] * rates[2]
    half_life = np.log(2.0) / ((total - np.sqrt(total**2 - 4.0 * product)) / 2.0)
    mean, variation = (np.exp(np.log(late).mean()), np.sqrt(np.expm1(np.log(late).var())))
    assert mean == pytest.approx(7.91, rel=0.05)  # mL/h at steady state
    assert variation == pytest.approx(0.46, abs=0.06)
    assert np.exp(np.log(half_life).mean()) == pytest.approx(25.0, rel=0.1)
    assert np.sqrt(np.expm1(np.log(half_life).var())) == pytest.approx(0.554, abs=0.06)
