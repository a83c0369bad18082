"""Other people's evidence: what they published from the same counts (`tests/references/README.md`)."""

import csv
from functools import partial
from itertools import pairwise
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.dosing.events import Events
from pkpd.infer.arm import Arm
from pkpd.infer.coordinates import coordinates_of
from pkpd.infer.laplace import approximate
from pkpd.infer.levels import Level
from pkpd.infer.mode import ascend, gradient_of, polish
from pkpd.infer.nuts import sample
from pkpd.infer.prior import Prior
from pkpd.infer.problem import Problem, free
from pkpd.model import wire
from pkpd.population import typical_patient
from pkpd.response.joint import Endpoint

HERE = Path(__file__).parent / "references"
MU, FLAT = 10.0, Prior("normal", 0.0, 10.0)


def rows_of(name):
    with (HERE / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def given(amount):
    none = jnp.zeros(0)
    return Events(none, none, none, (), (), (), float(amount))


def logistic(arms, levels, names, b0=-2.0):
    """Arms are study, amount, n and events; `names` are free besides what the levels add."""
    from tests.references.outcomes import Logistic, Still  # once imported, model files would find them

    model = wire({}, {}, outcomes={"event": Logistic(b0=b0, d=0.0)})
    told = tuple(Arm(given(x), study, f"{x}", n, (Endpoint("event"),), (k,)) for study, x, n, k in arms)
    priors = free(dict.fromkeys(names, FLAT), levels)
    return Problem(model, told, typical_patient(), Still(), priors=priors, levels=levels)


def mode_of(problem):
    gradient = partial(gradient_of(problem), problem.patients)
    return gradient, polish(gradient, ascend(gradient, np.zeros(len(problem.priors)), 500)[0])


def peak(problem):
    """The mode and the standard deviations of its normal approximation, on the normal scale, by name."""
    mode = mode_of(problem)[1]
    sd = np.sqrt(np.diag(np.linalg.inv(mode.hessian)))
    return dict(zip(problem.names, zip(mode.point, sd, strict=True), strict=True))


def drawn(problem, count):
    """Draws of each free number."""
    gradient, mode = mode_of(problem)
    found = sample(
        problem.log_density, approximate(gradient, mode, coordinates_of(problem)), 2, 500, count, seed=1
    )
    assert found.diverging.mean() < 0.01
    flat = found.points.reshape(-1, found.points.shape[-1])
    return {n: np.asarray(p.natural(jnp.asarray(flat[:, i]))) for i, (n, p) in enumerate(problem.priors)}


def blockers():
    return [
        (row["study"], 1.0 if row["arm"] == "beta-blocker" else 0.0, int(row["n"]), int(row["deaths"]))
        for row in rows_of("beta_blockers.csv")
    ]


def studies_of(arms):
    return tuple(dict.fromkeys(study for study, *_ in arms))


def test_beta_blockers_with_one_effect():
    arms = blockers()
    problem = logistic(
        arms, (Level("event.b0", "study", studies_of(arms), MU, False, scale="own"),), ["event.d"]
    )
    at, sd = peak(problem)["event.d"]
    assert 10.0 * at == pytest.approx(-0.2610, abs=5e-4)
    assert 10.0 * sd == pytest.approx(0.0499, abs=5e-4)


@pytest.mark.slow
def test_beta_blockers_whose_effects_differ():
    """Published means -0.25 (0.066) and 0.14 (0.082); a mean of 1,000 effective draws errs by 0.003."""
    arms = blockers()
    studies = studies_of(arms)
    levels = (
        Level("event.b0", "study", studies, MU, False, scale="own"),
        Level("event.d", "study", studies, 5.0, scale="own"),
    )
    problem = logistic(arms, levels, ["event.d"])
    values = drawn(problem, 1000)
    assert values["event.d"].mean() == pytest.approx(-0.25, abs=0.012)
    assert values["event.d"].std() == pytest.approx(0.066, abs=0.008)
    tau = values["event.d.study_sd"]
    assert tau.mean() == pytest.approx(0.135, abs=0.025)
    assert np.quantile(tau, 0.975) == pytest.approx(0.315, abs=0.05)


@pytest.mark.slow
def test_sorafenib_toxicity_over_dose_and_studies():
    """The published estimates are of maximum likelihood, to which the posterior with flat priors is close."""
    arms = [
        (f"{row['study']} {row['year']}", float(row["dose"]) / 100.0, int(row["n"]), int(row["events"]))
        for row in rows_of("sorafenib_toxicity.csv")
    ]
    level = Level("event.b0", "study", studies_of(arms), 1.0, scale="own")
    problem = logistic(arms, (level,), ["event.b0", "event.d"], -3.0)
    values = drawn(problem, 1000)
    assert np.median(values["event.d"]) == pytest.approx(0.4293, abs=0.3 * 0.0886)
    assert values["event.d"].std() == pytest.approx(0.0886, rel=0.25)
    assert np.median(values["event.b0"]) == pytest.approx(-3.5523, abs=0.3 * 0.4824)
    low, high = np.quantile(values["event.b0.study_sd"], [0.1, 0.9])
    assert low < 0.4725 < high


TREATMENTS = (
    "supportive care",
    "etanercept 25 mg",
    "etanercept 50 mg",
    "efalizumab",
    "ciclosporin",
    "Fumaderm",
    "infliximab",
    "methotrexate",
)
PUBLISHED = {1: (1.51, 0.10), 2: (1.92, 0.10), 3: (1.19, 0.06), 6: (2.33, 0.26)}  # TSD 2, fixed effects


def psoriasis():
    from tests.references.outcomes import Ordered, Still

    part = Ordered(b0=-1.0, z75=0.7, z90=0.7, **{f"d{k}": 1.0 for k in range(1, 8)})
    model = wire({}, {}, outcomes={"response": part})
    arms = []
    for row in rows_of("psoriasis.csv"):
        told = [kind for kind in Ordered.kinds if row[kind] != ""]
        ends = [*map(Ordered.kinds.index, told), len(Ordered.kinds)]
        groups = [Ordered.kinds[a:b] for a, b in pairwise(ends)]
        endpoints = tuple(Endpoint("response", kinds=group) for group in groups)
        counts = tuple(int(row[kind]) for kind in told)
        study, k = f"{row['study']} {row['year']}", TREATMENTS.index(row["treatment"])
        arms.append(Arm(given(k), study, row["arm"], int(row["n"]), endpoints, counts))
    studies = tuple(dict.fromkeys(arm.study for arm in arms))
    levels = (Level("response.b0", "study", studies, MU, pooled=False, scale="own"),)
    priors = {f"response.d{k}": FLAT for k in range(1, 8)}
    priors |= {f"response.z{c}": Prior("lognormal", 0.7, 3.0) for c in (75, 90)}
    return Problem(model, tuple(arms), typical_patient(), Still(), priors=free(priors, levels), levels=levels)


@pytest.mark.slow
def test_psoriasis_in_ordered_categories():
    """The mode is that of maximum likelihood, computed again; the means of well-known effects agree."""
    problem = psoriasis()
    at = peak(problem)
    found, spread = ({k: 10.0 * at[f"response.d{k}"][part] for k in range(1, 8)} for part in (0, 1))
    expected = {1: 1.509, 2: 1.917, 3: 1.187, 4: 1.838, 5: 1.371, 6: 2.299, 7: 1.538}
    for k, value in expected.items():
        pull = value * (spread[k] / 10.0) ** 2  # of the prior's standard deviation of 10
        assert found[k] == pytest.approx(value, abs=0.003 + pull), k
    for k, (mean, deviation) in PUBLISHED.items():
        assert found[k] == pytest.approx(mean, abs=0.15 * deviation)
        assert spread[k] == pytest.approx(deviation, abs=0.006)
    cuts = [0.7 * np.exp(3.0 * at[f"response.z{c}"][0]) for c in (75, 90)]
    assert np.cumsum(cuts) == pytest.approx([0.76, 1.56], abs=0.006)
