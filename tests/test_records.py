"""Questions: resolved numbers, digests, refusals. Answers: whole, sealed, refused when stale."""

import json
import re
import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pkpd.catalogue import shipped
from pkpd.checks import InputError
from pkpd.records import (
    answer_of,
    check_file,
    is_question,
    load_answer,
    load_question,
    question_names,
    resolve,
)
from pkpd.records import write_answer as write


@pytest.fixture
def folder(tmp_path):
    """A copy of the evidence and of one question, to be doctored."""
    for name in ("arms.csv", "joint.toml"):
        shutil.copy(shipped("fits") / "lissoni1995" / name, tmp_path / name)
    return tmp_path


def doctored(folder, old, new):
    path = folder / "joint.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path


def faults(path):
    return [str(fault) for fault in check_file(str(path))]


def test_stored_questions():
    assert {"lissoni1995/joint", "lissoni1995/exposure"} <= set(question_names())
    assert is_question("lissoni1995/joint")
    assert not is_question("aldesleukin")


@pytest.mark.parametrize("name", question_names())
def test_stored_questions_have_no_fault(name):
    assert check_file(name) == []


def test_a_file_of_another_kind_is_a_fault(tmp_path):
    (tmp_path / "notes.md").write_text("words", "utf-8")
    rule = "must be an arms or records file (.csv), or a model, a question, a study or records (.toml)"
    rule += ', but is ".md".'
    assert faults(tmp_path / "notes.md") == [f"{tmp_path / 'notes.md'}: {rule}"]


def test_resolved_numbers():
    question = load_question("lissoni1995/joint")
    problem = resolve(question).problem
    assert [arm.counts for arm in problem.arms] == [(9, 21, 22), (0, 5, 8)]
    assert [arm.n for arm in problem.arms] == [52, 48]
    prior = dict(problem.priors)["stimulus.ec50"]
    assert prior.interval() == pytest.approx((3.0, 300.0), rel=0.01)
    assert dict(problem.priors)["survival.b_size"].interval() == pytest.approx(
        (0.9 - 1.96 * 0.35, 0.9 + 1.96 * 0.35), rel=1e-3
    )


def test_digest_ignores_words_and_sees_numbers(folder):
    first = resolve(load_question(folder / "joint.toml")).digest
    doctored(folder, "schema = 1", "# a comment\nschema = 1")
    doctored(folder, 'title = "The 1995 trial', 'title = "That 1995 trial')
    assert resolve(load_question(folder / "joint.toml")).digest == first
    doctored(folder, "sd = 0.35", "sd = 0.36")
    assert resolve(load_question(folder / "joint.toml")).digest != first


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"tumour.kg" =',
            '"tumor.kg" =',
            'priors.tumor.kg: must be a parameter of the model, but is "tumor.kg". Did you mean',
        ),
        (
            'family = "normal", mean = 0.9',
            'family = "norml", mean = 0.9',
            'must be a known family, but is "norml". Did you mean',
        ),
        ("sd = 0.35", "sd = -0.35", "priors.survival.b_size: must have a spread greater than 0"),
        ("mean = 0.9, sd", "mean = nan, sd", "priors.survival.b_size.mean: must be a finite number"),
        (
            '"tumour.kg" = { from = "model" }',
            '"tumour.kg" = { family = "normal", mean = 0, sd = 1 }',
            "must say why",
        ),
        (
            '"survival.shape" = { from = "model" }',
            '"survival.shape" = { family = "normal", mean = 1, sd = 1, why = "x" }',
            "must stay in the domain",
        ),
        ('treated = "aldesleukin 3 MIU', 'treated = "aldesleukn 3 MIU', 'Did you mean "aldesleukin"?'),
        (
            'treated = "',
            'treeted = "',
            'must be a regimen or name one of the question\'s, but is "treated". Did you mean "treeted"?',
        ),
        (
            'likelihood = "joint"',
            'likelihood = "jiont"',
            'must be joint or product, but is "jiont". Did you mean "joint"?',
        ),
        ("starts = 16", "starts = 0", "estimator.starts: must be at least 1"),
        (
            "emulate = 4000",
            "emulate = 20",
            "estimator.emulate: must be 0 or at least 200 examples, but is 20",
        ),
        ("count = 512", 'count = "many"', "patients.count: must be a whole number that is not negative"),
        ("count = 512", "count = 100", "patients.count: must be a multiple of groups, 8, but is 100"),
        ('origin = "0 d"', "origin = 3", "origin: must be a text, but is 3"),
        ('control = "none"', "control = 3", "regimens.control: must be a text, but is 3"),
        ("[gates]", "[gaits]", 'must be a known key, but is "gaits". Did you mean "gates"?'),
        ('evidence = "arms.csv"', 'evidence = "absent.csv"', "must be a file that exists"),
        (
            'evidence = "arms.csv"',
            'evidence = "../arms.csv"',
            "must be the name of a file beside the question",
        ),
        ("schema = 1", "schema = = 1", "must be TOML"),
        ('model = "neuroimmunotherapy"', 'model = "neuroimunotherapy"', 'Did you mean "neuroimmunotherapy"?'),
    ],
)
def test_wrong_questions(folder, old, new, message):
    found = faults(doctored(folder, old, new))
    assert any(message in fault for fault in found), found


def test_a_question_extends_another(folder):
    """Tables are merged by key, what is false is left out, and lines that stay alike give the same digest."""
    first = load_question(folder / "joint.toml")
    variant = folder / "variant.toml"
    text = 'title = "A variant"\nextends = "joint"\n[settings]\n"survival.summary" = "peak"\n'
    variant.write_text(
        f'{text}[priors]\n"survival.b_size" = false\n[predict]\nmelatonin_alone = false\n', "utf-8"
    )
    found = load_question(variant)
    assert (found.title, found.outcome_settings) == ("A variant", {"survival.summary": "peak"})
    assert {*first.priors} - {*found.priors} == {"survival.b_size"}
    assert list(found.predict) == ["il2_alone"]
    assert (found.regimens, found.patients, found.estimator) == (
        first.regimens,
        first.patients,
        first.estimator,
    )
    assert (first.alternatives[0], found.alternatives) == ("cumulative", ())
    variant.write_text('extends = "joint"\n', "utf-8")
    assert resolve(load_question(variant)).digest == resolve(first).digest
    variant.write_text('extends = "jiont"\n[settings]\n', "utf-8")
    rule = "extends: must name another question of the same folder"
    assert faults(variant) == [f'{variant}: {rule}, but is "jiont". Did you mean "joint"?']
    variant.write_text('extends = "joint"\nalternatives = 3\n[settings]\n', "utf-8")
    assert "must be a list of names of questions in the same folder, but is 3" in faults(variant)[0]
    (folder / "third.toml").write_text('extends = "variant"\n[settings]\n', "utf-8")
    assert "must name a question that extends no other" in faults(folder / "third.toml")[0]


def test_all_faults_at_once(folder):
    doctored(folder, "starts = 16", "starts = 0")
    doctored(folder, 'likelihood = "joint"', 'likelihood = "jiont"')
    doctored(folder, "[gates]", "[gaits]")
    doctored(folder, "sd = 0.35", "sd = -0.35")
    evidence = folder / "arms.csv"
    evidence.write_text(evidence.read_text("utf-8").replace(",control,", ",contrl,"), "utf-8")
    found = faults(folder / "joint.toml")
    assert len(found) == 5
    assert any("arms.csv: line 5, regimen: must be a regimen" in fault for fault in found)


def test_a_model_beside_the_question(folder):
    for name in ("neuroimmunotherapy", "aldesleukin", "melatonin"):
        shutil.copy(shipped("models") / f"{name}.toml", folder / f"{name}.toml")
    path = doctored(folder, 'model = "neuroimmunotherapy"', 'model = "neuroimmunotherapy.toml"')
    assert faults(path) == []
    assert resolve(load_question(path)).problem.model.digest


def test_a_prior_from_the_fitted_trial_is_refused(folder):
    new = (
        '"survival.scale" = { family = "lognormal", median = 1, log_sd = 1, why = "x", source = "L1995_SCC" }'
    )
    found = faults(doctored(folder, '"survival.scale" = { from = "model" }', new))
    assert any("must not come from the fitted trial" in fault and "L1995_SCC" in fault for fault in found)


def test_a_number_of_the_model_from_the_fitted_paper_is_refused(folder):
    """The same publication under another name: found by its DOI or by year, volume and page."""
    evidence = folder / "arms.csv"
    text, trial = evidence.read_text("utf-8"), "Support Care Cancer 1995;3:194-197, doi 10.1007/BF00368890"
    assert trial in text
    for cited in ("doi: 10.1111/j.1365-2567.2007.02573.x", "Immunology 2007;121:258-265"):
        evidence.write_text(text.replace(trial, cited), "utf-8")
        (found,) = faults(folder / "joint.toml")
        assert "priors.effector.kout: must not come from the fitted trial" in found
        assert "zhang2007" in found


def test_a_prior_with_an_unknown_source(folder):
    new = '"survival.scale" = { family = "lognormal", median = 1, log_sd = 1, why = "x", source = "chan217" }'
    (found,) = faults(doctored(folder, '"survival.scale" = { from = "model" }', new))
    assert "source: must be a source of the model file" in found
    assert 'Did you mean "chan2017"?' in found


@pytest.mark.parametrize(
    "text",
    [
        "Support Care Cancer 1995;3:194-197",
        "Support Care Cancer. 1995 May;3(3):194-7.",
        "Lissoni 1995, doi: 10.1007/BF00368890.",
    ],
)
def test_the_fitted_paper_is_known_in_every_form(folder, text):
    """Also where a prior names it in its reason only."""
    new = f'"survival.scale" = {{ family = "lognormal", median = 1, log_sd = 1, why = "as in {text}" }}'
    found = faults(doctored(folder, '"survival.scale" = { from = "model" }', new))
    assert any("must not come from the fitted trial" in fault for fault in found)


def test_evidence_without_counts(folder):
    evidence = folder / "arms.csv"
    evidence.write_text(
        re.sub(r"(,\d+),\d+,(treated|control)", r"\1,,\2", evidence.read_text("utf-8")), "utf-8"
    )
    (found,) = faults(folder / "joint.toml")
    assert "evidence: must hold a row with events" in found


def test_kinds_of_response(folder):
    """Complete and partial responses of an arm are fitted together, and not as if they were independent."""
    evidence = folder / "arms.csv"
    lines = evidence.read_text("utf-8").splitlines()
    row = next(line for line in lines if ",CR+PR,52,9," in line)
    both = [row.replace(",CR+PR,52,9,", f",{kind},52,{count},") for kind, count in (("CR", 2), ("PR", 7))]
    lines[lines.index(row) : lines.index(row) + 1] = both
    evidence.write_text("\n".join([line for line in lines if "ps_improved,52" not in line]), "utf-8")
    assert faults(folder / "joint.toml") == []
    (arm, _) = resolve(load_question(folder / "joint.toml")).problem.arms
    assert [(e.outcome, e.kinds) for e in arm.endpoints[:2]] == [
        ("regression", ("cr",)),
        ("regression", ("pr",)),
    ]
    assert faults(doctored(folder, 'likelihood = "joint"', 'likelihood = "product"')) == []


SLOW = """[set]
"aldesleukin.sc.ktr" = { value = 0.01, unit = "1/h", why = "a depot that lasts for days" }
[priors]"""


def fake_fit(question, status="converged") -> Any:
    problem = resolve(question).problem
    size = len(problem.priors)
    rng = np.random.default_rng(1)
    empty: dict = {name: {} for name in ("estimates", "diagnostics", "checks", "starts")}
    rows: dict = {name: [] for name in ("arms", "predictions", "prior_predictive", "words", "directions")}
    return SimpleNamespace(
        status=status,
        seconds=1.0,
        problem=problem,
        mode=np.zeros(size),
        log_density=-1.0,
        log_likelihood=float("nan"),
        gradient=0.0,
        hessian=np.eye(size),
        draws=rng.standard_normal((4, 300, size)),
        **empty,
        **rows,
    )


def test_answers_round_trip_and_tampering_is_refused(folder):
    question = load_question(folder / "joint.toml")
    fit, path = fake_fit(question), folder / "joint.json"
    write(path, answer_of(question, resolve(question), fit), fit)
    _, answer = load_answer(str(folder / "joint.toml"))
    flat = fit.draws.reshape(-1, fit.draws.shape[-1])
    assert answer.draws.shape[0] == 500
    assert answer.draws[[0, 250]] == pytest.approx(flat[[0, 600]], rel=1e-9)
    assert answer.content["log_likelihood"] is None
    assert (folder / "joint.draws.csv").stat().st_size < 300_000
    draws = folder / "joint.draws.csv"
    draws.write_text(draws.read_text("utf-8").replace("0", "1", 1), "utf-8")
    with pytest.raises(InputError, match="must be the draws that were written"):
        load_answer(str(folder / "joint.toml"))


def test_a_stale_answer_names_the_command(folder):
    question = load_question(folder / "joint.toml")
    fit = fake_fit(question)
    write(folder / "joint.json", answer_of(question, resolve(question), fit), fit)
    doctored(folder, "sd = 0.35", "sd = 0.36")
    with pytest.raises(InputError, match=r"pkpd fit \S+joint\.toml --seal"):
        load_answer(str(folder / "joint.toml"))


def test_an_answer_that_fails_its_gates_is_not_written(folder):
    question = load_question(folder / "joint.toml")
    fit = fake_fit(question, "not converged: rhat")
    with pytest.raises(InputError, match="must be an answer that meets its gates"):
        write(folder / "joint.json", answer_of(question, resolve(question), fit), fit)
    assert not list(folder.glob("*.json"))


def test_a_broken_answer_is_told(folder):
    (folder / "joint.json").write_text(json.dumps({"status": "converged"}), "utf-8")
    with pytest.raises(InputError, match="must be a whole answer"):
        load_answer(str(folder / "joint.toml"))


def test_kinetics_that_outlast_days_take_the_fixed_grid(folder):
    question = load_question(doctored(folder, "[priors]", SLOW))
    assert type(resolve(question).problem.solver).__name__ == "Multirate"
