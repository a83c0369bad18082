"""What a person types and gets: exit codes, JSON, faults, files."""

import json
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from pkpd.catalogue import shipped
from pkpd.cli import main
from pkpd.cli.estimate import quality
from pkpd.cli.output import progress
from pkpd.records import load_answer

SHORT = "aldesleukin 3 MIU sc q24h x2"


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs a command in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pkpd.devices.configure", lambda **settings: None)  # JAX has run in this process

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["pkpd", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


def test_a_fit_tells_of_its_emulator():
    diagnostics = {
        "emulator": {"examples": 4000, "error": 0.31, "accepted": 0.82, "pareto_k": 0.24},
        "patients": {"probability": 0.001, "estimate": 0.02, "noise": 0.05},
        "starts_agree": 16,
        "rhat_max": 1.002,
        "ess_bulk_min": 1200.0,
        "ess_tail_min": 900.0,
        "divergent": 0.004,
        "divergent_where": "where a is large",
        "steps_mean": 30.0,
        "laplace_gap": 0.5,
        "pareto_k": 0.9,
    }
    found = SimpleNamespace(diagnostics=diagnostics, starts={"log_density": [0.0] * 16}, gradient=1e-9)
    told = quality(found, quick=False)
    assert (
        "learnt from 4000 examples (half of its log likelihoods within 0.31, Pareto k 0.24, limit 0.7)"
        in told
    )
    assert "the model accepted 82% of its proposals. R-hat 1.002" in told
    assert "divergent 0.4% (where a is large), 30.0 leapfrog steps" in told
    del diagnostics["emulator"]
    assert quality(found, quick=False).startswith("R-hat 1.002")


def test_models(run):
    code, out, _ = run("models", "--json")
    found = json.loads(out)
    assert code == 0
    assert {"aldesleukin", "melatonin", "neuroimmunotherapy"} <= set(found["models"])
    assert "lissoni1995/joint" in found["fits"]


def test_version(run):
    assert run("--version") == (0, "pkpd 0.1.0\n", "")


def test_cite_a_fit_names_trial_and_papers(run):
    code, out, _ = run("cite", "lissoni1995/joint")
    assert code == 0
    assert out.startswith("Lissoni P")
    assert "Piscitelli" in out


def test_check_tells_what_is_no_fault(run):
    code, out, err = run("check", "lissoni_network/joint")
    assert (code, err) == (0, "")
    assert (
        "Pool monza_il2_melatonin joins L1995_SCC, L1994_BJC, B1995_ONC: their patients may overlap." in out
    )
    assert out.endswith("lissoni_network/joint: no fault found\n")


@pytest.mark.parametrize("kind", ["model", "fit"])
def test_templates_pass_the_check(run, tmp_path, kind):
    assert run("new", kind, "mine")[0] == 0
    code, out, err = run("check", "mine.toml")
    assert (code, err) == (0, "")
    assert "no fault found" in out
    assert run("new", kind, "mine")[0] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "aldesleukn"), 'Did you mean "aldesleukin"?'),
        (("cite", "absent.toml"), "must be a file that exists"),
        (("fit", "lissoni1995/jiont"), 'Did you mean "lissoni1995/joint"?'),
        (("simulate", "melatonin", "--regimen", "melatonin -4 mg po"), "must be a finite number"),
        (("simulate", "melatonin", "--regimen", "melatonin 4 mg sc"), "must be a route of melatonin"),
        (
            ("simulate", "melatonin", "--regimen", "melatonin 4 mg po", "--patients", "0"),
            "--patients: must lie between",
        ),
        (
            ("simulate", "melatonin", "--regimen", "melatonin 4 mg po", "--out", "x.xls"),
            "must end in .csv, .nc or .parquet",
        ),
        (
            ("simulate", "melatonin", "--regimen", "melatonin 4 mg po", "--out", "no/x.csv"),
            "must lie in a folder that exists",
        ),
        (
            ("fit", "lissoni1995/joint", "--plot", "/dev/null/pictures"),
            "must be a folder that can be written",
        ),
        (("fit", "lissoni1995/joint", "--out", "no/x.json"), "must lie in a folder that exists"),
        (("fit", "lissoni1995/joint", "--out", "x.txt"), "must end in .json"),
        (("fit", "lissoni1995/joint", "--quick", "--seal"), "a quick look is no answer"),
        (("fit", "lissoni1995/joint", "--quick", "--keep", "kept"), "a quick look does not sample"),
        (
            ("simulate", "melatonin", "--regimen", "melatonin 4 mg po", "--plot", "no/x.png"),
            "must lie in a folder that exists",
        ),
        (
            ("simulate", "melatonin", "--regimen", "melatonin 4 mg po", "--draws", "lissoni1995/joint"),
            "must be a fit of melatonin",
        ),
        (
            ("simulate", "melatonin", "--regimen", "melatonin 4 mg po", "--plot", "x.jpg"),
            "--plot: must end in .png, .svg, .pdf",
        ),
        (
            ("simulate", "melatonin", "--regimen", "melatonin 4 mg po", "--plot", "x.png", "--draws", "x"),
            "--plot: must not go with --draws",
        ),
        (("new", "modle", "x"), 'Did you mean "model"?'),
    ],
)
def test_bad_input(run, tmp_path, words, message):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert "nothing was written" in err
    code, out, _ = run(*words, "--json")
    assert code == 2
    assert set(json.loads(out)["errors"][0]) == {"file", "place", "rule", "value", "hint"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["models", "--bogus"], "No such option: --bogus"),
        (["fit"], "Missing argument 'FIT'"),
        (["modles"], "No such command 'modles'"),
    ],
)
def test_wrong_usage_is_one_object_too(run, words, hint):
    code, out, _ = run(*words, "--json")
    assert code == 2
    (error,) = json.loads(out)["errors"]
    assert error["place"] == "command line"
    assert hint in error["hint"]


def test_every_command_may_be_quiet_or_verbose(run):
    for words in (["models", "-q"], ["doctor", "-v"], ["check", "-q", str(shipped("fits") / "lissoni1995")]):
        assert "No such option" not in run(*words)[2]


def test_a_folder_that_cannot_be_written(run, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    for target in (("--out", "x.json"), ("--plot", "pictures"), ("--seal",)):
        code, _, err = run("fit", "lissoni1995/joint", *target)
        assert code == 2
        assert target[0] in err
        assert "can be written" in err


def test_a_write_that_fails_leaves_nothing(run, tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device", str(self), None, str(target))

    monkeypatch.setattr("pathlib.Path.replace", full)
    code, _, err = run("new", "model", "mine")
    assert code == 1
    assert err == "mine.toml: could not be used: No space left on device.\n"
    assert not list(tmp_path.iterdir())


def test_a_release_is_not_sealed(run, monkeypatch, tmp_path):
    folder = tmp_path / "pkpd" / "_data" / "fits" / "lissoni1995"
    shutil.copytree(shipped("fits") / "lissoni1995", folder)
    code, _, err = run("fit", str(folder / "joint.toml"), "--seal")
    assert code == 2
    assert "--seal: must be used in a checkout" in err


def test_progress_tells_the_time_on_request(capsys):
    for verbose, told in ((False, "... halfway\n"), (True, " s, 50%: halfway\n")):
        with progress(quiet=False, verbose=verbose) as say:
            say("halfway", 0.5)
        assert capsys.readouterr().err.endswith(told)


def test_stopped_by_hand(run, monkeypatch):
    def stop(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("pkpd.catalogue.load_card", stop)
    code, _, err = run("show", "melatonin")
    assert code == 130
    assert "Stopped" in err


def test_new_tells_what_it_wrote(run):
    code, out, _ = run("new", "fit", "mine", "--json")
    assert (code, json.loads(out)) == (0, {"wrote": ["mine.toml", "arms.csv"]})


def test_simulate(run, tmp_path):
    code, out, _ = run(
        "simulate", "melatonin", "--regimen", "melatonin 40 mg po q24h x2", "--days", "2", "--json"
    )
    found = json.loads(out)
    assert code == 0
    assert found["times"][-1] == pytest.approx(48.0 if found["time_unit"] == "h" else 2.0)
    assert set(found["outputs"]["melatonin.central"]) == {"unit", "median", "lo95", "hi95"}


def test_simulate_tells_exposures(run):
    """The peak is higher than what can be seen four times a day."""
    given = ("simulate", "melatonin", "--regimen", "melatonin 40 mg po q24h x2", "--days", "2", "--exposures")
    found = json.loads(run(*given, "--json")[1])
    exposure, path = found["exposures"]["melatonin.central"], found["outputs"]["melatonin.central"]["median"]
    assert (exposure["start"], exposure["end"]) == (24.0, 48.0)
    assert set(exposure["interval"]) == {"auc", "cmax", "tmax", "cavg", "ctrough"}
    assert exposure["interval"]["ctrough"]["median"] == pytest.approx(path[-1])
    assert exposure["course"]["cmax"]["median"] >= 1.1 * max(path)
    table = run(*given)[1]
    assert "Last dosing interval" in table
    assert "24 to 48 h" in table


def test_simulate_adds_occasions_and_residual_errors(run):
    """Predictions do not change with what is observed; clearance differs from the second occasion on."""
    given = ("simulate", "tacrolimus", "--regimen", "tacrolimus 5 mg po q24h x2", "--days", "2", "--json")
    people, path = ("--patients", "8", "--occasions", "1 d"), "tacrolimus.central"
    plain, seen, once = (
        json.loads(run(*given, *options)[1])["outputs"][path]["median"]
        for options in (people, (*people, "--observe"), people[:2])
    )
    assert seen[0] == plain[0] == 0.0
    assert 0.0 < abs(seen[-1] / plain[-1] - 1.0) < 0.2
    assert plain[4] != pytest.approx(once[4], rel=1e-3)
    _, _, told = run(*given[:-1], "--patients", "8", "--occasions", "1 d, 100 h, week")
    assert '--occasions: must be a duration in min, h, d or wk, such as 24 h, but is "week".' in told
    _, _, told = run(*given[:-1], "--patients", "8", "--occasions", "1 d, 100 h")
    assert "occasion 3, from 100 h: must hold a dose." in told
    _, _, told = run("simulate", "melatonin", "--regimen", "melatonin 40 mg po", "--observe")
    assert "must have a residual error in the model" in told


RULES = """schema = 1
visits = ["30 h", "54 h"]

[[rules]]
output = "melatonin.central"
above = 1e-3
unit = "ng/L"
factor = 0.5
until = "end"

[[rules]]
output = "melatonin.central"
above = 1
unit = "g/L"
drugs = ["melatonin"]
"""
FAULTY = """schema = 1
visits = ["25 h", "soon", "100 h"]

[[rules]]
output = "melatonin.centre"
above = true
relative = "lowest"
unit = "ng/L"

[[rules]]
output = "melatonin.central"
below = 1
factors = 0.5
drugs = "melatonin"

[[rules]]
output = "melatonin.central"
below = 1
unit = "day"
"""
PEOPLE = (
    "simulate",
    "melatonin",
    "--regimen",
    "melatonin 40 mg po q24h x4",
    "--patients",
    "8",
    "--days",
    "3",
)


def test_simulate_follows_habits_and_rules(run, tmp_path):
    (tmp_path / "rules.toml").write_text(RULES, "utf-8")
    options = ("--adherence", "taken 1; late 30 min", "--rules", "rules.toml", "--json")
    found = json.loads(run(*PEOPLE, *options)[1])
    amount = {"unit": "mg", "planned": pytest.approx(160.0), "expected": pytest.approx(120.0)}
    assert found["doses"] == {"melatonin": {"planned": 4, "expected": 4.0, "amount": amount}}
    everybody = {"held": {"melatonin": 0.0}, "reduced": {"melatonin": 1.0}}
    assert found["visits"] == [{"time": 30.0} | everybody, {"time": 54.0} | everybody]
    code, told, _ = run(*PEOPLE, "--adherence", "taken 0.9; melatonin taken 0; dropout 0.1 /d")
    assert code == 0
    assert "Doses of a patient" in told
    assert re.search(r"melatonin +4 +0 +160 mg +0 mg", told)
    path = json.loads(run(*PEOPLE, "--adherence", "taken 0", "--json")[1])["outputs"]["melatonin.central"]
    assert not any(path["hi95"])


def test_every_fault_of_habits_and_rules(run, tmp_path):
    (tmp_path / "rules.toml").write_text(FAULTY, "utf-8")
    habits = "taken 1.2; late soon; taken 0.5; dropout 3; heroin late 1 h; sometimes"
    code, _, told = run(*PEOPLE, "--adherence", habits, "--rules", "rules.toml")
    assert code == 2
    for fault in (
        "--adherence: must say everything once",
        "--adherence.late: must be a duration in min, h, d or wk",
        "--adherence.dropout: must be a hazard, such as 0.01 /d",
        "--adherence: must be clauses with ; between them",
        "rules.toml: visits: must be a duration",
        "rules.toml: rule 1.above: must be a number",
        "rules.toml: rule 1.unit: must not go with `relative`",
        "rules.toml: rule 2.factors: must be a known key",
        "rules.toml: rule 2.drugs: must be a list of texts",
        "rules.toml: rule 2.unit: must be given",
        "rules.toml: rule 3.unit: must be convertible",
    ):
        assert fault in told, fault
    (tmp_path / "rules.toml").write_text(RULES.replace("54 h", "100 h"), "utf-8")
    told = run(*PEOPLE, "--adherence", "taken 1.2; caffeine late 1 h", "--rules", "rules.toml")[2]
    assert "--adherence.taken: must lie between 0 and 1, but is 1.2." in told
    assert "--adherence.late.caffeine: must be of a drug that is given" in told
    assert "rules.toml: visits: must lie within the course" in told
    told = run(*PEOPLE[:4], "--adherence", "taken 1", "--exposures")[2]
    assert "--adherence: must go with --patients, and without --exposures" in told


def test_simulate_tells_its_error(run):
    given = ("simulate", "melatonin", "--regimen", "melatonin 40 mg po", "--days", "1", "--error")
    assert "at most 0 of melatonin" in run(*given)[1]  # exact
    assert json.loads(run(*given, "--json")[1])["error"]["melatonin.central"] == 0.0


def test_simulate_writes_a_tidy_file(run, tmp_path):
    code, _, err = run(
        "simulate", "melatonin", "--regimen", "melatonin 40 mg po", "--days", "1", "--out", "x.csv", "-q"
    )
    assert (code, err) == (0, "")
    lines = (tmp_path / "x.csv").read_text("utf-8").splitlines()
    assert lines[0] == "time,time_unit,patient,output,value,unit"
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_doctor(run):
    code, out, _ = run("doctor", "--json")
    assert code == 0
    assert {"versions", "devices", "cores"} <= set(json.loads(out))


NEW = """study,arm,endpoint,n,events,regimen,excludes
new,double,CR+PR,40,9,aldesleukin 6 MIU sc q24h x28 + melatonin 40 mg po q24h x28,
new,double,surv_1y,40,,aldesleukin 6 MIU sc q24h x28 + melatonin 40 mg po q24h x28,
new,control,CR+PR,38,0,control,
more,control,CR+PR,60,0,control,L1995_SCC/supportive care
"""


def test_predict_scores_what_is_known_and_predicts_the_rest(run, tmp_path):
    (tmp_path / "new.csv").write_text(NEW, "utf-8")
    words = ("predict", "lissoni1995/exposure", "--arms", "new.csv", "--draws", "40")
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    known, unknown, control, same = found["rows"]
    assert known["lo95"] <= known["lo50"] <= known["mean"] <= known["hi50"] <= known["hi95"]
    assert known["log_score"] == pytest.approx(np.log(known["p_observed"]))
    assert 0.0 <= known["pit"] <= 1.0
    assert unknown["log_score"] is None
    assert unknown["mean"] > 0.1
    assert control["mean"] < 0.05
    assert (control["fitted"], same["fitted"]) == ([], ["L1995_SCC/supportive care"])
    assert found["summary"]["rows"] == 2
    assert found["summary"]["difference_ci95"] is None
    assert set(found["summary"]["studies"]) == {"new"}


def test_predict_tells_every_fault_of_the_arms(run, tmp_path):
    (tmp_path / "bad.csv").write_text(NEW.replace("control,\n", "contrl,\n").replace(",9,", ",41,"), "utf-8")
    code, out, err = run("predict", "lissoni1995/exposure", "--arms", "bad.csv")
    assert (code, out) == (2, "")
    assert "line 2, events: must not exceed n = 40" in err
    assert 'must be a regimen or name one of the question\'s, but is "contrl"' in err
    code, _, err = run("predict", "lissoni1995/exposur", "--arms", "bad.csv")
    assert code == 2
    assert "Did you mean" in err


def test_answers_stand_side_by_side(run):
    both = "lissoni1995/joint", "lissoni1995/exposure"
    code, out, err = run("answers", *both, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    outcomes = {(row["arm"], row["endpoint"]): row for row in found["outcomes"]}
    treated, alone = outcomes["IL-2 + melatonin", "regression"], outcomes["il2_alone", "regression"]
    for name in both:
        _, stored = load_answer(name)
        assert treated["fits"][name]["mean"] == stored.content["arms"][0]["posterior_mean"]
        assert (treated["fits"][name]["weight"], alone["fits"][name]["weight"]) == (1.0, 0.0)
    parameters = {row["parameter"]: row["fits"] for row in found["parameters"]}
    assert set(parameters["tumour.kkill"]) == {both[0]}
    assert set(parameters["stimulus.emax"]) == set(both)
    draws = [answer.draws[:, answer.names.index("memory.kmem")] for _, answer in map(load_answer, both)]
    shift = (draws[1].mean() - draws[0].mean()) / draws[0].std(ddof=1)
    moved = found["moved"][both[1]]
    assert moved["parameters"]["memory.kmem"] == pytest.approx(shift)
    one, other = (alone["fits"][name] for name in both)
    shift = 3.92 * (other["mean"] - one["mean"]) / (one["hi95"] - one["lo95"])
    assert moved["outcomes"]["il2_alone, regression"] == pytest.approx(shift)
    _, out, _ = run("answers", *both)
    heads = [line.split() for line in out.splitlines() if line.startswith((" study", " parameter"))]
    assert [line[-2:] for line in heads] == [["joint", "exposure"]] * 2
    low, mean, high = (100.0 * alone["fits"][both[0]][key] for key in ("lo95", "mean", "hi95"))
    assert f"{mean:.1f} ({low:.1f} to {high:.1f}) *" in out
    for kind, label in (("parameters", "memory.kmem"), ("outcomes", "il2_alone, regression")):
        shift = moved[kind][label]
        assert (f"{label} by {shift:+.1f}" in out) == (abs(shift) >= 0.5)
    assert "moves parameters: " in out
    assert "moves outcomes: " in out


def test_answers_of_one_name_are_told_apart_by_their_folders(run):
    _, out, _ = run("answers", "lissoni1995/joint", "lissoni_network/joint")
    assert next(line for line in out.splitlines() if line.startswith(" study")).count("/joint") == 2


def test_answers_tells_every_one_that_is_missing(run):
    code, out, err = run("answers", "lissoni1995/joint", "lissoni1995/exposur", "lissoni_network/none")
    assert (code, out) == (2, "")
    assert err.count("must be") == 2
    code, out, err = run("answers", "lissoni1995/joint", "lissoni1995/joint")
    assert (code, out) == (2, "")
    assert 'FIT: must be given once, but is "lissoni1995/joint"' in err


@pytest.mark.slow
def test_profile(run, tmp_path):
    words = ("profile", "lissoni1995/exposure", "ps_improved.b0", "--plot", "profile.png", "--json")
    code, out, _ = run(*words)
    assert code == 0
    one = json.loads(out)["profiles"]["ps_improved.b0"]
    low, high = one["posterior"]["ci95"]
    assert low < one["value"] < high
    assert one["likelihood"]["ci95"][0] < low
    assert (tmp_path / "profile.png").stat().st_size > 10_000


def test_profile_refuses_what_it_cannot_do(run):
    code, _, err = run("profile", "lissoni1995/exposure", "ps_improved.b")
    assert code == 2
    assert "must be a free parameter of the fit" in err
    assert run("profile", "lissoni1995/exposure", "--plot", "profile.txt")[0] == 2


def test_compare_refuses_what_it_cannot_do(run):
    code, out, err = run(
        "compare", "lissoni1995/exposure", "--regimen", "a", "--regimen", "b=none", "--plot", "x.txt"
    )
    assert (code, out) == (2, "")
    assert '--regimen: must be NAME="REGIMEN", but is "a"' in err
    assert "--plot: must be a .png, .svg or .pdf in a folder that exists" in err
    code, out, _ = run("compare", "lissoni1995/exposure", "--regimen", "b=none", "--against", "c", "--json")
    assert (code, json.loads(out)["errors"][0]["place"]) == (2, "against")
    assert run("compare", "lissoni1995/exposur", "--regimen", "b=none")[0] == 2
