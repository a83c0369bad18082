"""Parameters that differ from occasion to occasion, in regimens and in records, against exponentials."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.checks import InputError
from pkpd.dosing import Records
from pkpd.individuals import individualise, sample_patients
from pkpd.model import Drug, wire
from pkpd.observed import simulate_records
from pkpd.pk import Bolus, FirstOrder, OneCompartment
from pkpd.population import Patients
from pkpd.simulation import simulate
from pkpd.solve import ODE, Multirate
from pkpd.units import UnitSystem

UNITS = UnitSystem(time="h", amount="mg", volume="L")
STARTS = (0.0, 24.0, 48.0)
TIMES = [6.0, 23.0, 24.0, 30.0, 47.0, 60.0]
IOV = {"drug.cl": 0.4, "drug.v": 0.2, "drug.po.bioav": 0.3}
KAPPA = {"drug.cl": [0.5, -1.0, 2.0], "drug.v": [0.3, 0.0, -1.0], "drug.po.bioav": [0.0, 1.0, -2.0]}
REGIMEN = "drug 100 mg iv q24h x3"


def model(spreads=None, **parts):
    components = {
        "drug.po": FirstOrder(ka=1.1, bioav=0.7),
        "drug.iv": Bolus(),
        "drug": OneCompartment(cl=2.0, v=10.0),
    }
    return wire(
        components | parts,
        {},
        drugs=[Drug("drug", ("po", "iv"))],
        units=UNITS,
        variability=spreads or {},
        occasional=IOV,
        forms={"drug.po.bioav": "logit"},
    )


def patients(count=1):
    kappa = {path: jnp.tile(jnp.array(v)[:, None], (1, count)) for path, v in KAPPA.items()}
    return Patients({}, count, kappa=kappa, starts=STARTS)


def bolus(times, changes=STARTS):
    """Concentrations by one exponential after the other; parameters hold from each of the `changes` on."""
    cl, v = (
        base * np.exp(IOV[path] * np.array(KAPPA[path]))
        for path, base in (("drug.cl", 2.0), ("drug.v", 10.0))
    )

    def occasion(time):
        return int(np.searchsorted(changes, time, side="right")) - 1

    found = []
    for last in times:
        breaks = sorted({0.0, last, *(t for t in (*STARTS, *changes) if t < last)})
        amount = 0.0
        for begin, end in pairwise(breaks):
            k = occasion(begin)
            amount = (amount + 100.0 * (begin in STARTS)) * np.exp(-cl[k] / v[k] * (end - begin))
        found.append(amount / v[occasion(last)])
    return np.array(found)


def test_each_occasion_has_its_own_parameters():
    found = simulate(model(), REGIMEN, TIMES, patients()).outputs["drug.central"][:, 0]
    assert found == pytest.approx(bolus(TIMES), rel=1e-12)


def test_the_reference_solver_agrees():
    regimen = "drug 100 mg po q24h x3"
    exact = simulate(model(), regimen, TIMES, patients(2)).outputs["drug.central"]
    found = simulate(model(), regimen, TIMES, patients(2), solver=ODE(1e-10, 1e-12)).outputs["drug.central"]
    assert np.asarray(found) == pytest.approx(np.asarray(exact), rel=1e-7)


def test_a_dose_has_the_share_of_its_occasion():
    def level(regimen, *kappa):
        who = Patients({}, 1, kappa={"drug.po.bioav": jnp.array(kappa)[:, None]}, starts=STARTS[: len(kappa)])
        return float(simulate(model(), regimen, [30.0], who).outputs["drug.central"][0, 0])

    first = level("drug 100 mg po", 0.0)
    usual, other = (level("drug 100 mg po q24h x2", 0.0, kappa) - first for kappa in (0.0, 1.0))
    odds = 0.7 / 0.3 * np.exp(0.3)
    assert other / usual == pytest.approx(odds / (1.0 + odds) / 0.7, rel=1e-10)


def test_records_tell_their_occasion():
    doses = [{"time": t, "amt": 100.0, "cmt": "iv", "evid": 1, "occ": k + 1} for k, t in enumerate(STARTS)]
    looks = [{"time": t, "evid": 0, "occ": 1 + int(t // 24.0)} for t in TIMES if t not in STARTS]
    rows = sorted([*doses, *looks], key=lambda row: row["time"])
    times = [t for t in TIMES if t not in STARTS]
    for carry, changes in (("locf", STARTS), ("nocb", (0.0, 23.0 + 1e-12, 47.0 + 1e-12))):
        found = simulate_records(model(), Records.of(rows), patients(), carry=carry).outputs["drug.central"]
        assert found == pytest.approx(bolus(times, changes), rel=1e-10), carry
    typical = simulate_records(model(), Records.of(rows)).outputs["drug.central"]
    assert typical[0] == pytest.approx(10.0 * np.exp(-1.2))


def test_one_occasion_adds_to_what_differs_between_patients():
    built = model(spreads={"drug.cl": 0.3})
    own = individualise(built, sample_patients(built, 4096, 1))
    spread = np.log(np.asarray(own.get("drug.cl"))).std()
    assert spread == pytest.approx(0.5, abs=0.01)  # of 0.3 and 0.4


def test_gradients_in_spreads_and_schedule():
    who = patients(3)

    @jax.jit
    def level(x):
        changed = model().replace({f"{p}.iov": IOV[p] + x[i] for i, p in enumerate(sorted(IOV))})
        return jnp.sum(simulate(changed, "drug 100 mg po q24h x3", TIMES, who).outputs["drug.central"])

    steps = 1e-5 * jnp.eye(3)
    differences = [(level(e) - level(-e)) / 2e-5 for e in steps]
    assert jax.grad(level)(jnp.zeros(3)) == pytest.approx(np.array(differences), rel=1e-6)


def faults(call, *arguments, **options):
    with pytest.raises(InputError) as error:
        call(*arguments, **options)
    return [str(fault) for fault in error.value.faults]


def test_an_occasion_without_a_dose_is_refused():
    assert faults(simulate, model(), "drug 100 mg iv q24h x2", TIMES, patients()) == [
        "occasion 3, from 48 h: must hold a dose."
    ]
    rows = [
        {"time": 0.0, "amt": 1.0, "cmt": "iv", "evid": 1, "ii": 24.0, "addl": 1, "occ": 1},
        {"time": 30.0, "evid": 0, "occ": 2},
        {"time": 24.0 * 2, "evid": 0, "occ": 2},
        {"time": 60.0, "evid": 0, "occ": 3},
    ]
    assert faults(simulate_records, model(), Records.of(rows), patients()) == [
        f"record {k}, occ: must be an occasion in which a dose is given, but is {told}."
        for k, told in ((2, 2.0), (4, 3.0))
    ]
    rows[1] |= {"time": 20.0}
    assert len(faults(simulate_records, model(), Records.of(rows), patients())) == 1


def test_other_wrong_uses_of_occasions():
    rows = [{"time": 0.0, "amt": 1.0, "cmt": "iv", "evid": 1}, {"time": 1.0, "evid": 0}]
    assert faults(simulate_records, model(), Records.of(rows), patients()) == [
        "records: must have the column occ, because parameters differ by occasion."
    ]
    told = [row | {"occ": k} for k, row in enumerate(rows * 4)]
    told = [row | {"time": float(k)} for k, row in enumerate(told)]
    assert "occ: must tell at most 3 occasions, for which the patients have effects, but is 8." in faults(
        simulate_records, model(), Records.of(told), patients()
    )
    for starts in ((1.0, 2.0), (0.0, 2.0, 2.0), ()):
        assert "must begin at 0 and ascend" in faults(sample_patients, model(), 2, occasions=starts)[0]
    assert "Multirate" in faults(simulate, model(), REGIMEN, TIMES, patients(), solver=Multirate())[0]
