"""A user's own structures in model files: found by name, solved, fitted, in commands and in Python."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import lambertw

from pkpd.catalogue import load_model, shipped
from pkpd.checks import InputError
from pkpd.cli import run_file
from pkpd.dosing import Records
from pkpd.model import Drug, wire
from pkpd.observed import simulate_records
from pkpd.pk import FirstOrder
from pkpd.records import load_question, resolve
from pkpd.simulation import simulate
from pkpd.solve import ODE, ClosedForm, Multirate
from pkpd.solve.structure import structure

OWN = Path(__file__).parent / "data" / "own"


@pytest.fixture(scope="module", autouse=True)
def known():
    run_file(str(OWN / "structures.py"))


@pytest.fixture
def folder(tmp_path):
    """Shipped models of which aldesleukin has a user's structure in place of `TwoCompartment`."""
    for path in (*shipped("models").glob("*.toml"), *(shipped("fits") / "lissoni1995").glob("*.*")):
        shutil.copy(path, tmp_path)
    drug = tmp_path / "aldesleukin.toml"
    text = drug.read_text("utf-8")
    assert text.count('"TwoCompartment"') == 1
    drug.write_text(text.replace('"TwoCompartment"', '"Pair"'), "utf-8")
    return tmp_path


def saturated(times, dose, v=50.0, vmax=20.0, km=2.0):
    """Concentrations after a bolus. Beal SL. J Pharmacokinet Biopharm 1983;11:623-641 (by Lambert's W)."""
    start = dose / v
    return km * lambertw(start / km * np.exp((start - vmax / v * np.asarray(times)) / km)).real


def test_records_and_covariates():
    told = Records.of(
        [
            {"id": k, "time": t, "amt": 300.0 * (t == 0), "evid": int(t == 0), "cmt": "central", "wt": w}
            for k, w in (("a", 70.0), ("b", 35.0))
            for t in (0.0, 1.0, 4.0, 20.0)
        ]
    )
    found = simulate_records(load_model(OWN / "saturable.toml"), told).outputs["drugs.central"]
    times = (1.0, 4.0, 20.0)
    expected = np.concatenate([saturated(times, 300.0), saturated(times, 300.0, v=25.0)])
    assert found == pytest.approx(expected, rel=1e-6)


def test_gradient():
    model = load_model(OWN / "saturable.toml")

    def last(vmax):
        changed = model.replace({"drugs.vmax": vmax})
        return simulate(changed, "drugs 300 mg iv", times=[4.0]).outputs["drugs.central"][0, 0]

    step = 1e-3
    low, high = (saturated(4.0, 300.0, vmax=20.0 + side) for side in (-step, step))
    expected = (high - low) / (2.0 * step)
    assert jax.grad(last)(jnp.asarray(20.0)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("solver", [ODE(), Multirate()])
def test_solvers_give_the_same_as_for_the_structure_that_is_shipped(folder, solver):
    regimen, times = "aldesleukin 3 MIU sc q24h x3", [3.0, 30.0, 71.0]
    own, other = load_model(folder / "aldesleukin.toml"), load_model("aldesleukin")
    found, expected = (simulate(m, regimen, times=times, solver=solver).outputs for m in (own, other))
    for name in expected:
        assert np.asarray(found[name]) == pytest.approx(np.asarray(expected[name]), rel=1e-9), name
    assert own.digest != other.digest


def test_a_linear_one_has_a_closed_form():
    pair = sys.modules["structures_of_structures"].Pair(cl=2.0, vc=10.0, q=1.5, vp=20.0)
    model = wire({"drug.po": FirstOrder(ka=1.1), "drug": pair}, {}, drugs=[Drug("drug", ("po",))])
    assert {s for block in structure(model).cascade for s in block.states} == set(model.states)
    exact, stepped = (
        simulate(model, "drug 5 pmol po q24h x3", times=[0.3, 2.2, 9.0], solver=solver)
        for solver in (ClosedForm(), ODE(rtol=1e-10, atol=1e-12))
    )
    expected = np.asarray(stepped.outputs["drug.central"])
    assert np.asarray(exact.outputs["drug.central"]) == pytest.approx(expected, rel=1e-7)


def test_a_fit(folder):
    path = folder / "exposure.toml"
    question = path.read_text("utf-8")
    assert question.count('model = "neuroimmunotherapy_exposure"') == 1
    here = (folder / "neuroimmunotherapy_exposure.toml").as_posix()
    path.write_text(question.replace('model = "neuroimmunotherapy_exposure"', f'model = "{here}"'), "utf-8")
    own, other = (resolve(load_question(name)) for name in (str(path), "lissoni1995/exposure"))
    x = jnp.full(len(own.problem.priors), 0.3)
    value, expected = (jax.jit(lambda x, r=r: r.problem.log_density(x))(x) for r in (own, other))
    assert value == pytest.approx(float(expected), rel=1e-9)
    assert own.digest != other.digest


def pkpd(*words):
    command = [sys.executable, "-c", "from pkpd.cli import main; main()", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_commands(tmp_path):
    mine = ("--structures", str(OWN / "structures.py"))
    model, out = str(OWN / "saturable.toml"), tmp_path / "out.csv"
    (tmp_path / "events.csv").write_text("TIME,AMT,WT\n0,300,70\n4,,70\n", "utf-8")
    found = pkpd(*mine, "simulate", model, "--data", str(tmp_path / "events.csv"), "--out", str(out))
    assert (found.returncode, found.stdout) == (0, ""), found.stderr
    header, row = out.read_text("utf-8").splitlines()
    assert header == "ID,TIME,drugs.central,drugs.site.level"
    assert float(row.split(",")[2]) == pytest.approx(saturated(4.0, 300.0), rel=1e-6)
    missing = pkpd("check", model, "--json")
    assert missing.returncode == 2
    places = [error["place"] for error in json.loads(missing.stdout)["errors"]]
    assert places == ["pk.structure", "components.site.structure"]


def test_files_that_are_no_structures_are_refused(tmp_path):
    for name, text in (("broken.py", "x = name"), ("notes.txt", ""), ("none.py", None)):
        if text is not None:
            (tmp_path / name).write_text(text, "utf-8")
        with pytest.raises(InputError, match="--structures: must"):
            run_file(str(tmp_path / name))


def test_a_name_that_the_package_has_is_refused(tmp_path):
    (tmp_path / "twice.py").write_text(
        "from pkpd.pk import OneCompartment as Base\nclass OneCompartment(Base): pass\n", "utf-8"
    )
    model = OWN / "saturable.toml"
    clash = tmp_path / "clash.toml"
    clash.write_text(model.read_text("utf-8").replace('"Saturable"', '"OneCompartment"'), "utf-8")
    found = pkpd("--structures", str(tmp_path / "twice.py"), "check", str(clash))
    assert found.returncode == 2
    assert "pk.structure: must be the name of one class" in found.stderr


def test_a_parameter_may_be_called_like_an_effect(tmp_path):
    (tmp_path / "like.py").write_text(
        "from pkpd import parameter\nfrom pkpd.pk import OneCompartment\n"
        'class Like(OneCompartment):\n    e_top: float = parameter("top", "1")\n',
        "utf-8",
    )
    run_file(str(tmp_path / "like.py"))
    text = (OWN / "saturable.toml").read_text("utf-8")
    numbers = text[text.index("vmax") : text.index("v = ")]
    where = 'source = "smith2019", at = "Table 3" }'
    own = f'cl = {{ value = 1, unit = "L/h", {where}\ne_top = {{ value = 2, unit = "1", {where}\n'
    path = tmp_path / "like.toml"
    path.write_text(text.replace(numbers, own).replace('"Saturable"', '"Like"'), "utf-8")
    assert float(load_model(path).get("drugs.e_top")) == 2.0
