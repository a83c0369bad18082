"""`pkpd.configure` sets once, early and visibly."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd import devices
from pkpd.checks import InputError

ROOT = Path(__file__).parents[1]


def run(code: str, *arguments: object, plain: bool = False) -> str:
    """What a fresh interpreter prints; its programs are as users have them, or `plain` as those of tests."""
    environment = {name: v for name, v in os.environ.items() if plain or name != "XLA_FLAGS"}
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    fresh = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert fresh.returncode == 0, fresh.stderr
    return fresh.stdout


def test_compile_options_are_taken_or_left_out() -> None:
    options = devices.compile_options()
    assert float(jax.jit(lambda x: 2.0 * x, compiler_options=options)(1.5)) == 3.0


def test_a_program_that_refuses_the_options_is_compiled_without_them() -> None:
    """XLA makes one function of a loop this small, and has no code for a barrier in it."""

    def step(x: jax.Array, _: None) -> tuple[jax.Array, None]:
        return jax.lax.optimization_barrier(x + 1.0) * x, None

    program = devices.jitted(lambda x: jax.lax.scan(step, x, None, length=2)[0])
    assert program(jnp.ones(4)).tolist() == program(jnp.ones(4)).tolist() == [6.0] * 4


def test_other_errors_of_a_program_stay() -> None:
    with pytest.raises(TypeError, match="dot_general"):
        devices.jitted(lambda x: jnp.ones(3) @ x)(jnp.ones(4))


def test_settings_take_effect_and_may_be_asked_for_again(tmp_path: Path) -> None:
    code = """
import sys
import jax, jax.numpy as jnp
from pkpd.devices import configure

for _ in range(2):
    configure("float64", cores=2, cache=sys.argv[1])
gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.linalg.inv(x) @ jnp.exp(x))))
jax.block_until_ready(gradient(jnp.eye(9)))
configure("float64", cores=2, cache=sys.argv[1])
print(jnp.ones(1).dtype, jax.device_count("cpu"))
try:
    configure("float64", cores=3)
except RuntimeError as error:
    print(error)
"""
    first, second = run(code, tmp_path / "kept").splitlines()
    assert first == "float64 2"
    assert "pkpd.configure must be called before JAX computes" in second
    assert "too late to change cores." in second
    assert any((tmp_path / "kept").iterdir())


def test_chunks_of_patients_give_what_the_whole_gives() -> None:
    table, row = jnp.arange(21.0).reshape(3, 7), jnp.linspace(0.0, 1.0, 7)

    def function(arrays):
        return {"sum": arrays[0].sum(0), "product": arrays[0] * arrays[1][None]}

    whole = function((table, row))
    for size in (1, 2, 3, 7, 100):
        found = devices.in_chunks(function, (table, row), size)
        assert all((found[key] == whole[key]).all() for key in whole)


def test_devices_share_the_patients_and_the_answer_is_the_same() -> None:
    code = """
from pkpd.devices import configure

configure(cores=2)
import jax
import numpy as np
from pkpd.catalogue import load_model
from pkpd.individuals import sample_patients
from pkpd.simulation import simulate
from pkpd.solve import ClosedForm, Multirate

model = load_model("neuroimmunotherapy")
regimen, patients = "aldesleukin 3 MIU sc q24h x3 + melatonin 40 mg po q24h x3", sample_patients(model, 11, 1)
one, two = (
    simulate(model, regimen, [2.5, 9.0], patients, alive=[365.0], solver=Multirate(6.0, chunk=4, cores=cores))
    for cores in (1, 2)
)
for name, values in {**one.outputs, **one.outcomes}.items():
    other = {**two.outputs, **two.outcomes}[name]
    assert np.allclose(other, values, rtol=1e-10, atol=1e-13), name


def last(cl, cores):
    solver = Multirate(6.0, chunk=4, cores=cores)
    changed = model.replace({"aldesleukin.cl": cl})
    found = simulate(changed, regimen, [9.0], patients, solver=solver, outcomes=False)
    return found.outputs["memory.value"].sum()


one, two = (jax.grad(last)(model.get("aldesleukin.cl"), cores) for cores in (1, 2))
assert np.isclose(one, two, rtol=1e-10)

drug, times = load_model("melatonin"), np.arange(0.0, 72.0, 3.0)
patients = sample_patients(drug, 11, 1)
one, two = (
    simulate(drug, "melatonin 40 mg po q24h x3", times, patients, solver=ClosedForm(cores)).outputs
    for cores in (1, 2)
)
assert len(two["melatonin.central"].sharding.device_set) == 2
for name, values in one.items():
    assert np.allclose(two[name], values, rtol=1e-12, atol=1e-13), name
"""
    run(code, plain=True)


def test_single_precision_stays_single_and_is_close() -> None:
    """Every output of the production solver; differences are those of the precision."""
    code = """
import json
from pkpd.devices import configure

configure(PRECISION)
import numpy as np
from pkpd.catalogue import load_model
from pkpd.individuals import sample_patients
from pkpd.simulation import simulate

model, regimen = load_model("neuroimmunotherapy"), "aldesleukin 3 MIU sc q24h x3 + melatonin 40 mg po q24h x3"
outputs = simulate(model, regimen, [2.5, 9.0], sample_patients(model, 4, 1), outcomes=False).outputs
print(json.dumps({name: [str(v.dtype), np.asarray(v, float).tolist()] for name, v in outputs.items()}))
"""
    single, double = (
        json.loads(run(code.replace("PRECISION", f'"{p}"'), plain=True)) for p in devices.PRECISIONS[::-1]
    )
    assert {dtype for dtype, _ in single.values()} == {"float32"}
    assert {dtype for dtype, _ in double.values()} == {"float64"}
    for name, (_, values) in double.items():
        assert single[name][1] == pytest.approx(np.array(values), rel=2e-4, abs=2e-5), name


def test_doors_compute_in_float64_whatever_the_precision_outside() -> None:
    code = """
import jax.numpy as jnp
from pkpd.devices import configure, float64

configure("float32")
with float64():
    inside = jnp.ones(1).dtype
print(inside, jnp.ones(1).dtype)
"""
    assert run(code).split() == ["float64", "float32"]


def test_a_setting_that_comes_too_late_is_an_error() -> None:
    code = """
import jax.numpy as jnp
from pkpd.devices import configure

jnp.ones(1)
configure("float32")
try:
    configure("float64", cache=False)
except RuntimeError as error:
    print(error)
"""
    assert "too late to change precision." in run(code)


def test_no_import_starts_jax() -> None:
    code = """
import importlib, pathlib, jax
from pkpd.devices import configure

for path in pathlib.Path("pkpd").rglob("*.py"):
    importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
configure(cores=2)
print(jax.device_count("cpu"))
"""
    assert run(code) == "2\n"


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(InputError) as caught:
        devices.configure("double", cores=0)
    assert [fault.place for fault in caught.value.faults] == ["precision", "cores"]


def test_cache_folder_follows_the_users_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert devices.cache_folder().parent == tmp_path / "pkpd" / "jax"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert devices.cache_folder().is_relative_to(Path.home())


def test_description_is_plain_json_and_true() -> None:
    told = json.loads(json.dumps(devices.describe()))
    assert told["versions"]["jaxlib"] == metadata.version("jaxlib")
    assert told["precision"] == str(jnp.ones(1).dtype)
    assert len(told["devices"]) == jax.device_count()
    assert 1 <= told["cores"] <= (os.cpu_count() or 1)


def test_extras_count_only_when_all_they_need_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _pretend(
        tmp_path,
        "pkpd",
        'numpy; extra == "here"',
        'numpy; extra == "half"',
        'no-such-package>=1; extra == "half"',
        'nested[deep]>=2; extra == "nested"',
        'nested; extra == "shallow"',
        "scipy>=1",
    )
    _pretend(tmp_path, "nested", "no-such-package; sys_platform != 'none' and extra == 'deep'")
    monkeypatch.syspath_prepend(tmp_path)
    assert devices.extras() == {"half": False, "here": True, "nested": False, "shallow": True}
    assert {"pkpd", "scipy"} <= devices.versions().keys()
    assert "numpy" not in devices.versions()


def _pretend(folder: Path, name: str, *requirements: str) -> None:
    """Metadata of an installed package."""
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    lines = [f"Name: {name}", "Version: 1", *(f"Requires-Dist: {need}" for need in requirements)]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
