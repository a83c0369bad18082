"""Summaries of many patients, some at a time, are those of all at once."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.individuals import sample_patients
from pkpd.simulation import simulate
from pkpd.summaries import summarised

TIMES = np.arange(0.0, 49.0)
REGIMEN = "melatonin 40 mg po q24h x2"
PATH = "melatonin.central"


def highest(outputs):
    return {"mean": outputs[PATH].mean(0), "max": outputs[PATH].max(0)}


def test_chunks_are_as_the_whole():
    model = load_model("melatonin")
    patients = sample_patients(model, 600, 1)
    found = summarised(model, REGIMEN, TIMES, patients, highest)
    whole = simulate(model, REGIMEN, TIMES, patients).outputs[PATH]
    assert found["mean"] == pytest.approx(np.asarray(whole.mean(0)), rel=1e-12)
    assert found["max"] == pytest.approx(np.asarray(whole.max(0)), rel=1e-12)

    @jax.jit
    def mean(cl):
        changed = model.replace({"melatonin.cl": cl})
        return summarised(changed, REGIMEN, TIMES, patients, highest, outputs=[PATH])["mean"].mean()

    at = float(jnp.asarray(model.get("melatonin.cl")))
    difference = float(mean(at * (1 + 1e-5)) - mean(at * (1 - 1e-5))) / (2e-5 * at)
    assert float(jax.grad(mean)(at)) == pytest.approx(difference, rel=1e-6)


def test_amounts_of_their_own_stay_with_patients():
    model = load_model("nivolumab")
    patients = sample_patients(model, 300, 1)
    times, path = [0.0, 1e-6], "nivolumab.central"
    dose = "nivolumab 3 mg/kg iv"
    found = summarised(model, dose, times, patients, lambda outputs: outputs[path][-1])
    assert found == pytest.approx(
        np.asarray(simulate(model, dose, times, patients).outputs[path][-1]), rel=1e-9
    )
    assert jnp.std(found) > 0.0


def test_wrong_use_is_told_together():
    model = load_model("tacrolimus")
    patients = sample_patients(model, 4, 1, groups=2, occasions=[0.0, 24.0])
    regimen, wrong = "tacrolimus 5 mg po", ["tacrolimus.center"]
    with pytest.raises(InputError) as error:
        summarised(model, regimen, TIMES, patients, highest, outputs=wrong)
    assert [str(fault) for fault in error.value.faults] == [
        f'outputs: must be outputs of the model, but is "{wrong[0]}". Did you mean "tacrolimus.central"?',
        "patients: must not have several groups, but is 2.",
        "patients: must not have several occasions, but is 2.",
    ]


MILLION = """
import json, resource
from pkpd.devices import configure
configure(cores=2)
import numpy as np
from pkpd import load_model, sample_patients, summarised
model = load_model("tacrolimus")
patients = sample_patients(model, 1_000_000, seed=1)
def summary(outputs):
    c = outputs["tacrolimus.central"]
    return c.mean(0), c.max(0)
found = summarised(model, "tacrolimus 5 mg po q24h x28", np.arange(0.0, 841.0), patients, summary)
means = [float(np.mean(v)) for v in found]
print(json.dumps({"means": means, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


@pytest.mark.slow
def test_a_million_patients_need_less_than_two_gibibytes():
    done = subprocess.run([sys.executable, "-c", MILLION], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["peak"] < 2.0
    assert 0.0 < found["means"][0] < found["means"][1]
