"""Questions with several studies: levels, weights, overlap, reports; and arms that a fit has not seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import Findings, InputError
from pkpd.infer.levels import Level
from pkpd.infer.predict import thin
from pkpd.infer.prior import Prior
from pkpd.likelihood.reports import HazardRatio, KaplanMeier, Mean, MedianSurvival
from pkpd.records import load_answer, load_question, resolve
from pkpd.records.answer import posterior_models
from pkpd.records.evidence import bound
from tests.doctored import edited

HEAD = "study,arm,endpoint,n,events,value,se,time,regimen,histology,weight,pool,source,at\n"
TREATED = "aldesleukin 3 MIU sc q24h x2"
ROWS = [
    f"A,treated,CR+PR,20,3,,,,{TREATED},lung,,p,Paper A 1990;1:1-2,Table 1",
    f"A,treated,surv_1y,20,9,,,,{TREATED},lung,,p,Paper A 1990;1:1-2,Table 1",
    "A,control,CR+PR,18,0,,,,none,lung,,p,Paper A 1990;1:1-2,Table 1",
    f"B,treated,PR,30,5,,,,{TREATED},kidney,0.3,p,Paper B 1991;2:1-2,Table 2",
    f"B,treated,CR,30,1,,,,{TREATED},kidney,0.3,p,Paper B 1991;2:1-2,Table 2",
]
QUESTION = """schema = 1
title = "several studies"
model = "neuroimmunotherapy"
evidence = "arms.csv"
[patients]
count = 8
groups = 1
seed = 1
[priors]
"survival.scale" = { from = "model" }
"tumour.kkill" = { from = "model" }
"""
LEVELS = """[studies]
"survival.scale" = { sd = 0.3 }
[histologies]
"tumour.kkill" = { sd = 0.5, pooled = false, reference = "lung" }
"""


@pytest.fixture
def ask(tmp_path):
    def asked(extra="", rows=ROWS, head=HEAD):
        (tmp_path / "arms.csv").write_text(head + "\n".join(rows) + "\n", "utf-8")
        path = tmp_path / "question.toml"
        path.write_text(QUESTION + extra, "utf-8")
        return resolve(load_question(path))

    return asked


def faults(ask, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        ask(*args, **kwargs)
    return [f"{fault.place}: {fault.rule} | {fault}" for fault in caught.value.faults]


def test_levels_become_free_numbers(ask):
    problem = ask(LEVELS).problem
    assert problem.levels == (
        Level("survival.scale", "study", ("A", "B"), 0.3),
        Level("tumour.kkill", "histology", ("lung", "kidney"), 0.5, False, "lung"),
    )
    assert problem.names[2:] == (
        "survival.scale.study_sd",
        "survival.scale[A]",
        "survival.scale[B]",
        "tumour.kkill[kidney]",
    )
    arm = problem.arms[2]
    x = jnp.asarray([0.0, 0.0, 0.5, -1.0, 1.5, 0.7])
    values, typical, own = problem.values(x), problem.at(x), problem.in_arm(x, arm)
    ratio = np.exp(float(values["survival.scale.study_sd"]) * 1.5)
    assert float(own.get("survival.scale") / typical.get("survival.scale")) == pytest.approx(ratio)
    assert float(own.get("tumour.kkill") / typical.get("tumour.kkill")) == pytest.approx(np.exp(0.35))


@pytest.mark.parametrize(
    ("path", "prior", "scale"),
    [
        ("tumour.kg", '{ from = "model" }', "log"),
        ("survival.b_effect", '{ family = "normal", mean = 0, sd = 0.5, why = "a test" }', "own"),
        ("survival.b_effect", '{ family = "lognormal", median = 1, log_sd = 1, why = "a test" }', "log"),
        (
            "aldesleukin.sc.bioav",
            '{ family = "logitnormal", median = 0.4, logit_sd = 1, why = "a test" }',
            "logit",
        ),
    ],
)
def test_deviations_are_on_the_scale_of_the_prior(ask, path, prior, scale):
    (level,) = ask(f'"{path}" = {prior}\n[studies]\n"{path}" = {{ sd = 0.3 }}\n').problem.levels
    assert level.scale == scale


def test_draws_of_a_fit_with_levels_are_those_of_a_typical_study():
    models, origin = posterior_models("lissoni_network/joint", load_model("neuroimmunotherapy_direct"), 3)
    _, answer = load_answer("lissoni_network/joint")
    assert (len(models), origin) == (3, 7.0)
    for model, row in zip(models, thin(answer.draws, 3), strict=True):
        for name, x in zip(answer.names, row, strict=True):
            if name in model.declared:
                value = Prior(*answer.content["transforms"][name]).natural(jnp.asarray(x))
                assert float(model.get(name)) == pytest.approx(float(value), rel=1e-12)


def test_kinds_of_a_response_are_one_outcome(ask):
    arm = ask().problem.arms[2]
    assert [e.kinds for e in arm.endpoints] == [("pr",), ("cr",)]
    assert arm.counts == (5, 1)
    assert arm.weight == 0.3


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ('[studies]\n"survival.scal" = { sd = 0.3 }', "studies.survival.scal: must be a parameter"),
        ('[studies]\n"survival.scale" = { sd = -1 }', "studies.survival.scale.sd: must be a number above 0"),
        (
            '[studies]\n"survival.scale" = { sd = 1, pool = true }',
            "studies.survival.scale.pool: must be a known",
        ),
        (
            '[histologies]\n"tumour.kg" = { sd = 1, reference = "lungs" }',
            'histologies.tumour.kg.reference: must be a histology of the evidence, but is "lungs"',
        ),
        (
            '[studies]\n"tumour.kg" = { sd = 1 }',
            "studies.tumour.kg: must have no unit, or a prior that makes",
        ),
        ('[weights]\n"C" = 0.5', "weights.C: must name a study of the evidence, or an arm as study/arm"),
        ('[weights]\n"B" = 1.5', "weights.B: must lie between 0 and 1"),
        ("[weights]\noverlap = 1", "weights.overlap: must be true or false"),
    ],
)
def test_faults_of_levels_and_weights(ask, extra, message):
    assert any(message in fault for fault in faults(ask, extra)), faults(ask, extra)


def test_overlap_counts_twice_only_when_it_is_said(ask):
    extra = '[weights]\n"B" = 1.0\n'
    (fault,) = faults(ask, extra)
    assert "weights.B of the question: must be at most 0.5 beside" in fault
    assert "patients of pool p may count twice" in fault
    assert ask(extra + "overlap = true").problem.arms[2].weight == 1.0


def test_overlap_does_not_allow_what_is_excluded(ask):
    rows = [ROWS[2] + ",", "F,x,CR+PR,30,0,,,,none,,,,Paper F 1990;6:1-2,Table 1,A"]
    head = HEAD.replace("at\n", "at,excludes\n")
    (fault,) = faults(ask, "[weights]\noverlap = true\n", rows=rows, head=head)
    assert "must not stand beside a study that it excludes" in fault


@pytest.mark.parametrize("other", ["z", "y"])
def test_a_hazard_ratio_to_an_arm_that_is_missing_or_at_fault(ask, other):
    rows = [
        f"E,x,hr({other}),30,,0.6,0.2,2 y,none,,,,Paper E 1990;5:1-2,Table 1",
        "E,y,CR+PR,30,31,,,,none,,,,Paper E 1990;5:1-2,Table 1",
    ]
    found = faults(ask, rows=rows)
    assert any("must not exceed n = 30" in fault for fault in found)
    assert any("must name another arm of the study" in fault for fault in found) == (other == "z")


def test_histologies_differ_only_where_they_are_known(ask):
    rows = ["F,x,CR+PR,30,0,,,,none,,,,Paper F 1990;6:1-2,Table 1"]
    (fault,) = faults(ask, '[histologies]\n"tumour.kkill" = { sd = 0.5 }\n', rows=rows)
    assert "histologies.tumour.kkill: must be of arms whose histology is known" in fault


def test_a_regimen_of_several_arms_is_told_once(ask):
    rows = [r.replace(TREATED, "daily").replace(",none,", ",daily,") for r in ROWS]
    (fault,) = faults(ask, '[regimens]\ndaily = "noone"\n', rows=rows)
    assert fault.startswith("regimens.daily")


def test_weights_name_studies_or_arms(ask):
    problem = ask('[weights]\n"A/control" = 0.25\n"B" = 0.0').problem
    assert [arm.weight for arm in problem.arms] == [1.0, 0.25, 0.0]


def test_levels_and_weights_change_the_digest(ask):
    digests = {ask(extra).digest for extra in ("", LEVELS, '[weights]\n"B" = 0.1')}
    assert len(digests) == 3


def test_reports_reach_the_problem_in_its_units(ask):
    rows = [
        "C,x,km,25,20,0.8,,90 d,none,,,,Paper C 1990;1:1-2,Figure 1",
        "C,x,km,25,10,0.4,,1 y,none,,,,Paper C 1990;1:1-2,Figure 1",
        "C,y,mean(effector.excess),25,,2.5,0.5,28 d,none,,,,Paper C 1990;1:1-2,Table 1",
        "D,x,median_survival,30,,,,12 mo,none,,,,Paper D 1990;4:1-2,Table 1",
        "E,x,hr(y),30,,0.6,0.2,2 y,none,,,,Paper E 1990;5:1-2,Table 1",
        "E,y,CR+PR,30,0,,,,none,,,,Paper E 1990;5:1-2,Table 1",
    ]
    arms = {(a.study, a.name): a for a in ask(rows=rows).problem.arms}
    assert arms["C", "x"].reports == (KaplanMeier(1.0, (90.0, 365.0), (0.8, 0.4), (20, 10)),)
    assert arms["C", "y"].reports == (Mean(1.0, "effector.excess", 28.0, 2.5, 0.5),)
    (median,) = arms["D", "x"].reports
    assert isinstance(median, MedianSurvival)
    assert (median.low, median.high) == pytest.approx((11.5 * 30.4375, 12.5 * 30.4375))
    (ratio,) = arms["E", "x"].reports
    assert isinstance(ratio, HazardRatio)
    assert (ratio.arm, ratio.share, ratio.times[-1]) == ("y", 0.5, pytest.approx(730.0))


def test_an_output_that_is_not_there(ask):
    rows = [
        "C,y,CR+PR,25,0,,,,none,,,,Paper C 1990;1:1-2,Table 1",
        "C,y,mean(effector.exces),25,,2.5,0.5,28 d,none,,,,Paper C 1990;1:1-2,Table 1",
        "C,y,mean(effector.excess),25,,2.5 mg,0.5,28 d,none,,,,Paper C 1990;1:1-2,Table 1",
    ]
    output, unit = faults(ask, rows=rows)
    assert output.startswith("line 3, endpoint: must be the mean of an output of the model")
    assert 'but is "effector.exces". Did you mean' in output
    assert unit.startswith('line 4, endpoint: must be in a unit that converts to "1" ')


def test_regimens_are_known_by_name_to_predictions_and_checked_though_nobody_has_them(ask):
    named = f'[regimens]\nit = "{TREATED}"\n[predict]\nnew = {{ regimen = "it" }}\n'
    (other,) = ask(named).others
    assert len(other.events.amount) == 2
    (fault,) = faults(ask, '[regimens]\nunused = "aldesleukin 3 MUI sc"\n')
    assert fault.startswith("regimens.unused.regimen: must be a known unit")


def test_no_data_leave_the_prior(ask):
    rows = [row.replace(",0.3,", ",,") for row in ROWS]
    problem = ask('[weights]\n"A" = 0\n"B" = 0', rows).problem
    assert float(jax.jit(lambda x: problem.log_likelihood(x))(jnp.asarray([0.3, -0.2]))) == 0.0


def test_a_fit_gives_all_patients_one_amount(folder):
    """A regimen per kg is refused where the model's virtual patients differ in weight."""
    told = 'value = 70000, unit = "g"'
    assert edited("drugx.toml", told, f"{told}, iiv_cv = 0.2") == []
    findings = Findings()
    model = load_model("./drugx.toml")
    assert bound(model, "regimens.a", "drugx 15 MIU sc", findings) is not None
    bound(model, "regimens.b", "drugx 0.1 MIU/kg sc", findings)
    assert [str(fault) for fault in findings.faults] == [
        "regimens.b: must not depend on wt, which differs between the model's virtual patients, "
        'but is "drugx 0.1 MIU/kg sc". All patients of a fit get one amount: give it, or no spread.'
    ]
