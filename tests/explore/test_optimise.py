"""The optimiser against optima that are known: by derivation, and by looking at every schedule.

Log-kill with a budget (`tests/data/schedules/logkill.toml`). Of a dose `a` at time `t` the level is
`a / v exp(-k (s - t))`, and `ln T(21 d) = ln T0 + 21 kg - sum of a_i w(t_i)` with

    w(t) = kkill slope / v integral from t to 21 of exp(-k (s - t)) exp(-lambda s) ds
         = kkill slope / v exp(-lambda t) (1 - exp(-(k + lambda) (21 - t))) / (k + lambda),

which falls in t: resistance grows and the window closes. What is maximised rises as `ln T` falls, hence a
linear programme: maximise the sum of `a_i w_i` for `0 <= a_i <= m` and a sum of at most B. By Pontryagin's
principle (the switching function is `w(t)` less the price of the budget) the best is bang-bang: the largest
dose from the beginning on until the budget is spent, one that takes what is left, then nothing. A patient's
`kkill` multiplies all weights, so that this is best for every patient, every draw and any average of them.
"""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import Findings, InputError
from pkpd.dosing import Regimen
from pkpd.explore.chances import Chances
from pkpd.explore.exposed import Exposed
from pkpd.explore.goal import Goal, smoothing
from pkpd.explore.limits import read_limit
from pkpd.explore.optimise import Asked, optimise, read_question
from pkpd.explore.pareto import front_of
from pkpd.explore.quantities import endpoint_of
from pkpd.explore.search import Search, Settings
from pkpd.explore.space import space_of
from pkpd.explore.trials import Trials
from pkpd.individuals import sample_patients
from pkpd.infer.predict import thin
from pkpd.infer.prior import Prior
from pkpd.infer.problem import Problem
from pkpd.records import load_answer, resolve
from pkpd.simulation import bind
from pkpd.solve import Multirate

DATA = Path(__file__).parents[1] / "data" / "schedules"
BASE = "poison 60 mg iv q24h x8"
LARGEST, BUDGET, DOSES = 100.0, 330.0, 8
K, LAMBDA, KG, KILL, SLOPE, V = 24 * 4.0 / 20.0, 0.1, 0.03, 0.02, 30.0, 20.0


def silent(what, share):
    pass


def end_of(model, name):
    found = endpoint_of(model, name)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def model():
    return load_model(DATA / "logkill.toml")


@pytest.fixture(scope="module")
def problem(model):
    """Eight patients, and a kill rate that is uncertain."""
    priors = (("tumour.kkill", Prior("lognormal", 0.02, 0.4)),)
    return Problem(model, (), sample_patients(model, 8, 1), Multirate(6.0), priors=priors)


POINTS = np.array([[-1.2], [-0.3], [0.4], [1.1]])


@pytest.fixture(scope="module")
def chances(model, problem):
    found = Chances(problem, POINTS, [end_of(model, name) for name in ("relief", "ease")])
    found.foresee([bind(model, f"poison 1 mg iv q24h x{DOSES}")])
    return found


def trials_of(model, chances, vary, limits, goal=None, outcome="relief", base=BASE):
    found = Findings()
    space = space_of(model, Regimen.parse(base), vary, found)
    told = [read_limit(model, text, found) for text in limits]
    found.raise_if_any()
    assert space is not None
    kept = tuple(limit for limit in told if limit is not None)
    end = end_of(model, outcome)
    return Trials(model, space, goal or Goal(), end, kept, chances, Exposed(chances))


# ---------------------------------------------------------------- known optima


def weight(t):
    return KILL * SLOPE / V * np.exp(-LAMBDA * t) * (1 - np.exp(-(K + LAMBDA) * (21 - t))) / (K + LAMBDA)


def relief(patients, amounts):
    """The posterior mean of the average over patients."""
    weights = weight(np.arange(len(amounts)))
    kill = np.exp(0.4 * POINTS + 0.5 * np.asarray(patients.eta["tumour.kkill"]))
    size = 21 * KG - kill * (amounts @ weights)
    return np.mean(1 / (1 + np.exp(0.5 + 1.5 * size)))


def test_a_budget_is_spent_at_once_and_in_the_largest_doses(model, chances):
    trials = trials_of(model, chances, [f"poison.amounts 0..{LARGEST} mg"], LIMIT)
    found = Search(trials, Settings(starts=2, first=4), silent).run()
    exact, even = np.array([100.0, 100.0, 100.0, 30.0, 0.0, 0.0, 0.0, 0.0]), np.full(DOSES, BUDGET / DOSES)
    best = relief(chances.patients, exact)
    assert found.converged
    assert found.best.score == pytest.approx(best, rel=0.01)
    assert found.best.point == pytest.approx(exact, abs=0.01 * LARGEST)
    assert best > 1.05 * relief(chances.patients, even)
    (trial,) = trials.ask([even])
    assert trial.score == pytest.approx(relief(chances.patients, even), rel=1e-4)


def test_whole_vials_of_a_budget_are_those_of_the_best(model, chances):
    """Vials of 20 mg, of which the budget holds 16; the search goes from dose to dose by the slopes."""
    trials = trials_of(model, chances, [f"poison.amounts 0..{LARGEST} mg step 20"], LIMIT)
    found = Search(trials, Settings(starts=2, first=4), silent).run()
    assert found.best.point.tolist() == [100.0, 100.0, 100.0, 20.0, 0.0, 0.0, 0.0, 0.0]
    (trial,) = trials.ask([np.array([20.0, 0.0, 100.0, 100.0, 100.0, 0.0, 0.0, 0.0])])
    search = Search(trials, Settings(), silent)
    search.slopes = weight(np.arange(DOSES))
    assert search.local(trial, list(range(DOSES))).point == pytest.approx(found.best.point)


def test_a_limit_on_exposure_is_met_exactly(model, chances):
    """In the last interval of the typical patient, by the sum of what each dose adds."""
    trials = trials_of(model, chances, ["poison.amount 1..100 mg"], ["poison.ctrough <= 0.02 mg/L"])
    found = Search(trials, Settings(starts=1, first=2), silent).run()
    trough = np.exp(-K * np.arange(1.0, DOSES + 1.0)).sum() / V
    assert found.best.point == pytest.approx([0.02 / trough], rel=2e-5)
    assert found.converged


def test_a_limit_on_another_outcome_is_met(model, chances):
    trials = trials_of(model, chances, ["poison.amount 1..100 mg"], ["ease <= 70 %"])
    found = Search(trials, Settings(starts=1, first=2), silent).run()
    assert found.best.values is not None
    assert found.best.values[:, 1].mean() == pytest.approx(0.7, rel=2e-5)
    assert found.best.kept


def test_the_front_has_the_best_at_each_level(model, chances):
    """The budget is best spent in the largest doses from the beginning on, whatever it is."""
    trials = trials_of(model, chances, VARY, LIMIT)
    found = Search(trials, Settings(first=6), silent).run()
    against = trials.limits[0].quantity
    rows = front_of(trials, found.best, against, 2, Settings(first=6), silent)
    assert [row["at"] for row in rows] == sorted({row["at"] for row in rows})
    known = {row["at"]: row for row in rows}
    assert known[200.0]["regimen"] == "poison 100 mg iv q24h x2"
    assert known[100.0]["regimen"] == "poison 100 mg iv q24h x1"
    assert known[200.0]["value"] == pytest.approx(
        brute(trials_of(model, chances, VARY, ["poison.total <= 200 mg"]))[0]
    )


VARY = ["poison.amount 10..100 mg step 10", "poison.doses 1..8"]
LIMIT = [f"poison.total <= {BUDGET} mg"]
GOALS = {
    "mean": (Goal(), "relief"),
    "quantile": (Goal("quantile", 0.25), "ease"),
    "exceed": (Goal("exceed", 0.45), "relief"),
}


def brute(trials):
    """The best of every point on the lattice that keeps to the limits, and how many there are."""
    space = trials.space
    axes = [np.arange(a, b + 1e-9, s) for a, b, s in zip(space.low, space.high, space.step, strict=True)]
    every = [np.array(point) for point in itertools.product(*axes)]
    allowed = [point for point in every if trials.allowed(point) >= 0.0]
    tried = trials.ask(allowed)
    return max(t.score for t in tried if t.kept), len(allowed)


@pytest.mark.parametrize("kind", GOALS)
def test_every_schedule_confirms_the_best(model, chances, kind):
    goal, outcome = GOALS[kind]
    if kind == "exceed":
        values = chances.values([bind(model, BASE)])[0][:, 0]
        goal = dataclasses.replace(goal, width=smoothing(values))
    found = Search(trials_of(model, chances, VARY, LIMIT, goal, outcome), Settings(first=6), silent).run()
    best, count = brute(trials_of(model, chances, VARY, LIMIT, goal, outcome))
    assert count > 40
    assert found.best.kept
    assert found.best.score >= best * (1 - 0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outcome", "goal"),
    [
        ("regression", Goal()),
        ("alive(180 d)", Goal("quantile", 0.25)),
        ("ps_improved", Goal("exceed", 0.35, 0.05)),
    ],
)
def test_every_schedule_of_the_shipped_model_confirms_the_best(outcome, goal, shipped):
    base = "aldesleukin 3 MIU sc q24h for 14 d + melatonin 40 mg po q24h for 14 d"
    vary = [
        "aldesleukin.amount 1..9 MIU step 0.5",
        "aldesleukin.days 2..7 of 7",
        "aldesleukin.start 0..7 d",
        "melatonin.amount 20..40 mg step 20",
    ]
    limits = ["aldesleukin.weekly <= 24 MIU", "injections <= 12"]
    found = Search(
        trials_of(shipped.problem.model, shipped, vary, limits, goal, outcome, base), Settings(), silent
    )
    best = found.run().best
    exact, count = brute(trials_of(shipped.problem.model, shipped, vary, limits, goal, outcome, base))
    assert count >= 500
    assert best.score >= exact * (1 - 0.005)


@pytest.fixture(scope="module")
def shipped():
    question, answer = load_answer("lissoni1995/joint")
    problem = resolve(question).problem
    problem = dataclasses.replace(problem, patients=problem.crowd(16, 1))
    ends = [end_of(problem.model, name) for name in ("regression", "alive(180 d)", "ps_improved")]
    return Chances(problem, thin(answer.draws, 4), ends)


# ---------------------------------------------------------------- gradients


def test_slopes_by_amounts_are_differences(model, chances):
    """Of both outcomes, and of goals over draws."""
    course = bind(model, BASE)
    found = chances.slopes(course)
    step = 1e-3 * 60.0
    for dose in (0, 5):
        sides = [dataclasses.replace(course, amount=course.amount.at[dose].add(d)) for d in (step, -step)]
        up, down = chances.values(sides)
        assert found.slopes[..., dose] == pytest.approx((up - down) / (2 * step), rel=1e-4)
        for goal in (Goal(), Goal("quantile", 0.3), Goal("exceed", 0.4, 0.05)):
            slope = goal.weights(found.values[:, 0]) @ found.slopes[:, 0, dose]
            change = (goal.score(up[:, 0]) - goal.score(down[:, 0])) / (2 * step)
            assert slope == pytest.approx(change, rel=1e-4)


def test_what_is_not_given_is_as_if_it_were_not_there(model, problem, chances):
    """A place of a layout that a schedule leaves empty."""
    course = bind(model, "poison 60 mg iv q24h x3 from 1 d")
    assert len(chances.layouts[0].slots) == DOSES
    alone = Chances(problem, POINTS, chances.endpoints)
    assert chances.values([course]) == pytest.approx(alone.values([course]), rel=1e-6)
    assert len(alone.layouts[0].slots) == 3
    assert len(chances.layouts) == 1


# ---------------------------------------------------------------- the answer


@pytest.fixture(scope="module")
def answer(problem, chances):
    asked = Asked(BASE, ("poison.amount 0..100 mg", "poison.days 1..7 of 7"), "relief", tuple(LIMIT))
    question = read_question(problem, asked, len(POINTS))
    return optimise(chances, POINTS, question, Settings(starts=2, first=4), silent)


def test_an_answer_tells_what_it_stands_on(answer):
    assert answer["status"] == "converged"
    assert answer["regimen"].startswith("poison ")
    (limit,) = answer["constraints"]
    assert limit["binds"]
    assert limit["value"] == pytest.approx(BUDGET, rel=1e-4)
    assert answer["headline"] == "A limit decides: poison.total <= 330 mg"
    assert answer["lo95"] <= answer["value"] <= answer["hi95"]
    assert answer["gain"]["mean"] == pytest.approx(answer["value"] - answer["base"]["value"], abs=1e-12)
    assert answer["decided_by"][0]["parameter"] == "tumour.kkill"
    assert answer["evidence"]["arms"] == 0
    at = [row["at"] for row in answer["pareto"]]
    value = [row["value"] for row in answer["pareto"]]
    assert at == sorted(at)
    assert value == sorted(value)
    assert value[-1] == pytest.approx(answer["value"], rel=1e-6)


def test_the_flat_range_is_where_the_value_has_fallen_by_a_hundredth(model, chances, answer):
    low, high = answer["varied"]["poison.amount"]["flat"]
    regimen = Regimen.parse(answer["regimen"])
    amount = regimen.doses[0].amount
    assert low < amount <= high
    course = bind(model, regimen)
    (value,) = chances.values([dataclasses.replace(course, amount=course.amount * (low / amount))])
    assert value[:, 0].mean() == pytest.approx(0.99 * answer["value"], rel=2e-3)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"maximise": "releif"},
            '--maximise: must be an outcome of the model, but is "releif". Did you mean',
        ),
        ({"regimen": "poison 60 mg iv q24h x30"}, 'relief is last looked at on day 21, but is "day 29"'),
        ({"vary": ("poison.start 0..30 d",)}, "--vary: must give its last dose before then"),
        ({"limits": ("poison.total <= 3 mg", "poison.total >= 5 mg")}, "must not contradict each other"),
        ({"quantile": 1.5}, "--quantile: must lie between 0 and 1, but is 1.5."),
        ({"quantile": 0.5, "exceed": 0.5}, "--exceed: must not go with --quantile"),
        ({"pareto": "poison.x"}, "--pareto: must name an outcome or a quantity"),
        ({"regimen": "poisson 1 mg iv"}, 'must name a drug of logkill, but is "poisson"'),
    ],
)
def test_faults_of_a_question(problem, change, told):
    asked = Asked(BASE, ("poison.amount 0..100 mg",), "relief", tuple(LIMIT))
    with pytest.raises(InputError) as found:
        read_question(problem, dataclasses.replace(asked, **change), 4)
    assert told in str(found.value)


def test_faults_are_told_together(problem):
    asked = Asked("poison 60 mg iv q24h x8", ("poison.size 0..1 mg",), "x", ("y <= 3",), quantile=2.0)
    with pytest.raises(InputError) as found:
        read_question(problem, asked, 1)
    assert len(found.value.faults) == 5


def test_limits_that_no_schedule_keeps(model, chances):
    limits = ["poison.total <= 50 mg", "ease >= 0.9"]
    trials = trials_of(model, chances, VARY, limits)
    with pytest.raises(
        InputError, match=r"must be possible within what varies, but is .*ease.*The nearest schedule has"
    ):
        Search(trials, Settings(first=2), silent).run()


def test_what_does_not_depend_on_the_schedule(model, chances):
    trials = trials_of(model, chances, ["poison.amount 10..100 mg step 10"], [], base=BASE)
    same = dataclasses.replace(trials, space=dataclasses.replace(trials.space, shares=np.zeros(1)))
    chances_ = Chances(chances.problem, POINTS, chances.endpoints)
    chances_.values = lambda courses: np.full((len(courses), 4, 2), 0.3)
    with pytest.raises(
        InputError, match=r"--maximise: must depend on what varies, but is .*It is 0.3 at all"
    ):
        Search(dataclasses.replace(same, chances=chances_), Settings(first=2), silent).run()
