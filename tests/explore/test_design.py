"""Candidate trials: what they are expected to teach, against refits to everything that they may observe."""

import json
import sys

import numpy as np
import pytest
from scipy.stats import binom, norm, rankdata

from pkpd.checks import InputError
from pkpd.cli import main
from pkpd.explore.appraisal import patients_for, smallest
from pkpd.explore.candidates import needed, read_asked
from pkpd.explore.design import assess, words
from pkpd.explore.information import gain, left_by
from pkpd.explore.outlooks import outlook_of
from pkpd.infer.levels import Level
from pkpd.infer.mode import Mode
from pkpd.infer.prior import Prior
from pkpd.infer.problem import Problem, free
from pkpd.model import wire
from pkpd.pd import Turnover
from pkpd.plot import plot_design
from pkpd.population import draw_patients
from pkpd.records import load_question, resolve
from pkpd.response import WeibullSurvival
from tests.plot.test_plot import drawn_texts

PRIORS = {"survival.scale": Prior("lognormal", 0.004, 0.7), "survival.shape": Prior("lognormal", 1.2, 0.4)}
AXIS = np.linspace(-4.5, 4.5, 91)
GRID = np.stack(np.meshgrid(AXIS, AXIS, indexing="ij"), axis=-1).reshape(-1, 2)
EVENTS, PATIENTS = 12, 50  # alive at one year
TIMES = {"alive(60 d)": 60.0, "alive(365 d)": 365.0, "alive(1100 d)": 1100.0}
SIZES = (8, 25, 70)


def made(levels=()):
    survival = WeibullSurvival(scale=0.004, shape=1.2, freeze=84.0)
    model = wire({"pool": Turnover(kout=0.1)}, {}, outcomes={"survival": survival})
    priors = {path: PRIORS[path] for path in (PRIORS if not levels else ["survival.scale"])}
    return Problem(model, (), draw_patients([], 4), priors=free(priors, levels), levels=levels)


def alive(x, time):
    """The probability to be alive at a time [points]."""
    scale, shape = 0.004 * np.exp(0.7 * x[:, 0]), 1.2 * np.exp(0.4 * x[:, 1])
    return np.clip(np.exp(-((scale * time) ** shape)), 1e-12, 1.0 - 1e-12)


@pytest.fixture(scope="module")
def posterior():
    """Weights of the grid."""
    density = norm.pdf(GRID).prod(axis=1) * binom.pmf(EVENTS, PATIENTS, alive(GRID, 365.0))
    return density / density.sum()


def refitted(weights, time, n):
    """Gain and contractions over the posterior of each count that may be."""
    likely = binom.pmf(np.arange(n + 1), n, alive(GRID, time)[:, None])
    mass = weights @ likely
    after = weights[:, None] * likely / mass
    told = after * np.log(np.maximum(likely, 1e-300) / mass)
    before = weights @ GRID**2 - (weights @ GRID) ** 2
    left = mass @ (after.T @ GRID**2 - (after.T @ GRID) ** 2)
    return mass @ told.sum(axis=0), 1.0 - left / before


def mode_of(size):
    """A mode that only the normal approximation looks at."""
    return Mode(np.zeros(size), 0.0, 0.0, np.eye(size))


@pytest.fixture(scope="module")
def draws(posterior):
    return GRID[np.random.default_rng(8).choice(len(GRID), 600, p=posterior)]


@pytest.fixture(scope="module")
def found(draws):
    problem = made()
    texts = [(f"{name} of {n}", f"none; n = {n}; endpoints = {name}") for name in TIMES for n in SIZES]
    texts += [("two looks", "none; n = 25; endpoints = alive(60 d), alive(365 d)")]
    texts += [("two arms", "none | none; n = 20, 5; endpoints = alive(60 d)")]
    asked = read_asked(problem, {}, texts, ["alive(1100 d): none", "survival.shape"])
    return assess(problem, asked, draws, mode_of(2), 1)


def test_refits_to_all_that_may_be_observed(found, posterior):
    told, known = [], []
    for one in found.appraisals:
        name, _, n = one.trial.name.partition(" of ")
        if name in TIMES:
            gain, shares = refitted(posterior, TIMES[name], int(n))
            told.append([one.gain.estimate, *one.parameters.contraction])
            known.append([gain, *shares])
    assert len(known) == 9
    for mine, true in zip(told, known, strict=True):
        for estimate, value in zip(mine, true, strict=True):
            assert estimate.value == pytest.approx(value, abs=4 * estimate.mcse + 0.005)
    for mine, true in zip(zip(*told, strict=True), zip(*known, strict=True), strict=True):
        ranks = rankdata([estimate.value for estimate in mine]), rankdata(true)
        assert np.corrcoef(*ranks)[0, 1] >= 0.9


def test_counts_add_up(found):
    """Two arms of one treatment are one arm, and two looks tell more than each."""
    by_name = {one.trial.name: one.gain.estimate.value for one in found.appraisals}
    assert by_name["two arms"] == pytest.approx(by_name["alive(60 d) of 25"], abs=1e-3)
    assert by_name["two looks"] > max(by_name["alive(60 d) of 25"], by_name["alive(365 d) of 25"])
    for name in TIMES:
        few, some, many = (by_name[f"{name} of {n}"] for n in SIZES)
        assert 0.0 < few < some < many


def test_what_is_told_of_each_candidate(found):
    content = found.content()
    json.dumps(content, allow_nan=False)
    first, *rest = content["candidates"]
    assert content["ranked_by"] == "alive(1100 d): none"
    assert first["name"] == "alive(1100 d) of 70"
    assert first["behind"] == {"gain": 0.0, "mcse": pytest.approx(0.0, abs=1e-12)}
    assert all(one["behind"]["gain"] > 0.0 for one in rest)
    assert {one["name"] for one in content["candidates"]} == {one.trial.name for one in found.appraisals}
    told = first["about"][0]
    (known, _) = content["quantities"]
    assert told["sd"] == pytest.approx(known["sd"] * np.sqrt(1.0 - told["contraction"]), rel=0.02)
    assert first["arms"][0]["expected"] == {"alive(1100 d)": pytest.approx(known["mean"])}
    assert content["words"][0].startswith("alive(1100 d) of 70 would teach most about alive(1100 d): none")
    assert first["lower"] < first["eig"] < first["upper"]
    assert not first["sampled"]


def test_words_when_nothing_can_be_learnt(found):
    nothing = [one for one in found.appraisals if one.trial.name == "alive(60 d) of 8"]
    still = nothing[0].gain.estimate._replace(value=0.0)
    silent = nothing[0]._replace(about=(nothing[0].gain._replace(estimate=still),))
    assert words([silent], "x") == [
        "No candidate is expected to teach anything about x that these draws can tell."
    ]


def test_the_normal_approximation_is_that_of_a_count(found):
    """At the mode: 0.5 log(1 + n slopes' slopes / (p (1 - p))) for a standard normal posterior."""
    one = next(one for one in found.appraisals if one.trial.name == "alive(365 d) of 25")
    p, z = float(alive(np.zeros((1, 2)), 365.0)[0]), 0.004 * 365.0
    slopes = -p * z**1.2 * 1.2 * np.array([0.7, 0.4 * np.log(z)])
    assert one.linear == pytest.approx(0.5 * np.log(1.0 + 25 * slopes @ slopes / (p * (1.0 - p))), rel=1e-5)
    assert any("normal approximation" in remark for remark in one._replace(linear=9.0).remarks())


def test_nobody_and_what_is_always_the_same_tell_nothing(found):
    one = found.appraisals[0].trial.arms[0]
    tables = found.seen.tables[one.regimen, one.endpoints]
    same = np.broadcast_to(tables[:1], tables.shape)
    assert gain(outlook_of([(tables, 0)], 0)).estimate.value == pytest.approx(0.0, abs=1e-9)
    assert gain(outlook_of([(same, 30)], 0)).estimate.value == pytest.approx(0.0, abs=1e-9)
    (both,) = left_by(outlook_of([(same, 30), (tables, 20)], 0), found.known.points[:, :1]).contraction
    (alone,) = left_by(outlook_of([(tables, 20)], 0), found.known.points[:, :1]).contraction
    assert both.value == pytest.approx(alone.value, abs=1e-6)


def test_data_that_are_drawn_tell_what_sums_tell(found, monkeypatch):
    """Whatever the seed."""
    monkeypatch.setattr("pkpd.explore.outlooks.SUMMED", 0)
    for seed, one in enumerate([found.appraisals[0], *found.appraisals[:2]]):
        outlook = found.seen.outlook(one.trial, seed)
        assert outlook.drawn is not None
        drawn = gain(outlook).estimate
        assert drawn.value == pytest.approx(one.gain.estimate.value, abs=3 * np.sqrt(drawn.noise))
        assert drawn.noise < 0.02**2


def test_as_many_patients_as_a_precision_takes(draws, posterior):
    sd = 0.03
    texts = [
        ("one", "none; n = 10; endpoints = alive(365 d)"),
        ("far", "none; n = 10; endpoints = alive(60 d)"),
    ]
    asked = read_asked(made(), {}, texts, precision=f"alive(365 d): none = {sd}")
    found = assess(made(), asked._replace(trials=asked.trials[:1]), draws, mode_of(2))
    ((n, left),) = found.patients.values()
    p = alive(GRID, 365.0)

    def after(n):
        likely = binom.pmf(np.arange(n + 1), n, p[:, None])
        mass = posterior @ likely
        means = (posterior * p) @ likely / mass
        return np.sqrt(posterior @ p**2 - mass @ means**2)

    expected = smallest(lambda n: bool(after(n) <= sd), 10, 10_000)
    assert n == pytest.approx(expected, rel=0.1)
    assert left <= sd
    values = alive(draws, 365.0)
    assert patients_for(found.seen, asked.trials[1], values, sd, 200, 0)[0] is None
    assert patients_for(found.seen, asked.trials[0], values, 1.0, 200, 0) == (
        0,
        pytest.approx(values.std(ddof=1)),
    )


@pytest.mark.parametrize("wanted", [1, 2, 3, 37, 100, 640])
def test_the_smallest_number(wanted):
    asked = []

    def enough(n):
        asked.append(n)
        return n >= wanted

    found = smallest(enough, 10, 1000)
    assert wanted <= found <= max(wanted, 1.02 * wanted)
    assert len(asked) < 16
    assert smallest(lambda n: False, 10, 1000) is None


def test_a_new_study_deviates():
    """Its counts tell of the typical value what the spread between studies lets through, by quadrature."""
    spread, n = 0.6, 60
    problem = made((Level("survival.scale", "study", ("old",), spread, pooled=False),))
    draws = np.random.default_rng(3).standard_normal((500, len(problem.priors)))
    texts = [("new", f"none; n = {n}; endpoints = alive(365 d)")]
    asked = read_asked(problem, {}, texts, ["alive(365 d): none"])
    content = assess(problem, asked, draws, mode_of(2), 5).content()
    (told,) = content["candidates"]
    x, counts = np.linspace(-5.0, 5.0, 201), np.arange(n + 1)
    weight = norm.pdf(x) / norm.pdf(x).sum()
    scale = 0.004 * np.exp(0.7 * x[:, None] + spread * x)
    p = np.clip(np.exp(-((scale * 365.0) ** 1.2)), 1e-12, 1.0 - 1e-12)
    likely = binom.pmf(counts, n, p[..., None])
    likely = np.einsum("xzy,z->xy", likely, weight)
    mass = weight @ likely
    gain = weight @ (likely * np.log(likely / mass)).sum(axis=1)
    assert told["eig"] == pytest.approx(gain, abs=4 * told["mcse"])
    assert told["mcse"] < 0.1 * gain
    assert told["about"][0]["gain"] == pytest.approx(gain, abs=4 * told["about"][0]["mcse"] + 0.01)
    p = np.exp(-((0.004 * 365.0) ** 1.2))
    slope = p * (0.004 * 365.0) ** 1.2 * 1.2
    rest = p * (1.0 - p) / n + (slope * spread) ** 2
    assert told["laplace"] == pytest.approx(0.5 * np.log(1.0 + (slope * 0.7) ** 2 / rest), rel=1e-4)
    (known,) = content["quantities"]  # of a typical study, which does not deviate
    typical = np.exp(-((0.004 * np.exp(0.7 * draws[:, 0]) * 365.0) ** 1.2))
    assert known["mean"] == pytest.approx(typical.mean(), rel=1e-6)


@pytest.fixture(scope="module")
def real():
    question = load_question("lissoni1995/joint")
    return resolve(question).problem, question.regimens


def read(real, candidates, about=(), precision=""):
    problem, regimens = real
    return read_asked(problem, regimens, candidates, about, precision)


IL2 = "aldesleukin 3 MIU sc q24h x28"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("treated; n = 40; endpoints = regresion", ["candidate a: endpoints", 'Did you mean "regression"?']),
        ("treated; n = 0; endpoints = regression", ["candidate a: n: must be whole numbers of patients"]),
        ("treated; n = -3; endpoints = regression", ["candidate a: n: must be whole numbers of patients"]),
        ("treated; n = 40, 20; endpoints = regression", ["must be one number, or one for each of 1 arms"]),
        ("melatonin 40 mg sc; n = 40; endpoints = regression", ["must be a route of melatonin"]),
        ("traeted; n = 40; endpoints = regression", ['Did you mean "treated"?']),
        ("treated; n = 40; endpoint = regression", ['Did you mean "endpoints"?', "endpoints: must be given"]),
        ("treated", ["candidate a: n: must be given", "candidate a: endpoints: must be given"]),
        ("treated; n = 4; n = 5; endpoints = regression", ["candidate a: n: must be given once"]),
        ("treated; n = 40; endpoints = regression, cr", ["must exclude each other"]),
        ("treated; n = 40; endpoints = alive(0 d)", ["must look at patients after 0"]),
        ("treated; n = 9000; endpoints = regression, ps_improved, alive(1 d)", ["must be at most"]),
        (f"{IL2} then rest 400 d then {IL2}; n = 4; endpoints = regression", ["must not give doses after"]),
    ],
)
def test_faults_of_a_candidate(real, text, faults):
    with pytest.raises(InputError) as error:
        read(real, [("a", text)])
    for fault in faults:
        assert fault in str(error.value)


def test_all_faults_at_once(real):
    good = "treated; n = 40; endpoints = regression"
    candidates = [("a", good), ("a", good), ("b = c", good), ("d", "treated; n = x; endpoints = regression")]
    wanted = ["tumour.kkil", "regression: treated - control - none", "regresion: treated", "cr: treatd"]
    with pytest.raises(InputError) as error:
        read(real, candidates, wanted, "regression: treated = much")
    told = str(error.value)
    for fault in (
        "candidate a: must be named once",
        "candidate b = c: must be named",
        "candidate d: n: must be whole numbers",
        "about: must be a free parameter",
        "must be one regimen less one other at most",
        'Did you mean "regression"?',
        'Did you mean "treated"?',
        "precision: must be a quantity = its standard deviation",
    ):
        assert fault in told
    with pytest.raises(InputError, match="for 1 to 20 trials"):
        read(real, [])


def test_what_a_candidate_may_say(real):
    text = f"{IL2} | treated | control; n = 40; endpoints = cr, pr, alive(365 d)"
    other = "aldesleukin 3 MIU sc q24h for 28 d on days 1 - 6 of 7"
    wanted = [f"ps_improved: treated - {other}", "memory.kmem"]
    (trial,) = (asked := read(real, [("a", text)], wanted, "regression: treated = 0.05")).trials
    assert [arm.n for arm in trial.arms] == [40, 40, 40]
    assert [arm.n for arm in trial.of_size(10).arms] == [10, 10, 10]
    assert len(trial.arms[0].endpoints) == 3
    assert [len(quantity.regimens) for quantity in asked.about] == [2, 0]
    assert asked.target is not None
    assert asked.target[1] == 0.05
    assert set(asked.events) >= {"none", IL2}
    assert needed(1, 99_999) == pytest.approx(2 * (3.5 * np.sqrt(99_999) + 12))


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pkpd.devices.configure", lambda **settings: None)  # JAX has run in this process

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["pkpd", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


def test_the_command_prints_and_draws(run, found, tmp_path, monkeypatch):
    content = {"fit": "x", "draws": 600, "seed": 1, **found.content()}
    one = next(iter(content["candidates"]))
    one |= {"patients": {"n": 12, "sd": 0.04}, "remarks": ["it is said"]}
    content |= {"candidates": [one], "precision": {"quantity": "alive(365 d): none", "sd": 0.04}}
    monkeypatch.setattr("pkpd.explore.design.design", lambda *asked, **options: content)
    code, out, err = run("design", "x", "--candidate", "a=none; n = 4; endpoints = y", "--plot", "design.svg")
    assert code == 0, err
    assert err.endswith("wrote design.svg\n")
    told = " ".join(out.split())
    for expected in (
        f"{one['eig']:.3f} ({one['mcse']:.3f})",
        "Patients in the first arm for SD 0.04",
        "would teach most about",
        f"{one['name']}: it is said.",
        "survival.shape",
    ):
        assert expected in told
    drawn = (tmp_path / "design.svg").read_text("utf-8")
    assert "<svg" in drawn
    code, out, _ = run("design", "x", "--candidate", "a=none; n = 4; endpoints = y", "--json")
    assert (code, json.loads(out)["candidates"][0]["eig"]) == (0, one["eig"])


def test_nothing_of_the_picture_is_cut_off(found, monkeypatch):
    figure = plot_design(found.content())
    boxes = drawn_texts(figure, monkeypatch)
    page = figure.bbox.padded(1.0)
    assert all(page.contains(*box.min) and page.contains(*box.max) for box in boxes.values())
    told = {text.get_text() for text in boxes}
    assert {one.trial.name for one in found.appraisals} <= told
    assert {"all parameters", "alive(1100 d): none", "survival.shape"} <= told
    with pytest.raises(InputError, match="must hold a trial"):
        plot_design({"candidates": []})


@pytest.mark.slow
def test_the_command_asks_a_stored_fit(run):
    words = ("design", "lissoni1995/exposure", "--draws", "60", "--json")
    words += ("--candidate", f"il2={IL2}; n = 20; endpoints = regression")
    words += ("--candidate", "more=treated | control; n = 20; endpoints = regression")
    code, out, err = run(*words, "--about", f"regression: treated - {IL2}")
    assert code == 0, err
    content = json.loads(out)
    assert {one["name"] for one in content["candidates"]} == {"il2", "more"}
    first, second = (one["about"][0]["gain"] for one in content["candidates"])
    assert first >= second
    assert content["draws"] == 60
    assert all(one["mcse"] > 0.0 for one in content["candidates"])


def test_the_command_tells_faults_in_json(run, tmp_path):
    good = "a=treated; n = 4; endpoints = regression"
    for options in (
        ["--candidate", "treated; n = 4; endpoints = regression"],
        ["--candidate", good, "--plot", "no/x.png"],
        ["--candidate", good, "--about", "nothing"],
        [],
    ):
        code, out, _ = run("design", "lissoni1995/exposure", *options, "--json")
        assert code == 2
        assert json.loads(out)["errors"]
    assert not list(tmp_path.iterdir())
