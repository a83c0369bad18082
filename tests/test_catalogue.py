"""The door for models: numbers arrive converted, and every fault is told with its place, all at once."""

import math
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.card import Document, Quantity
from pkpd.catalogue import (
    check_model_file,
    citations,
    load_card,
    load_model,
    model_names,
    model_path,
    model_titles,
    shipped,
)
from pkpd.catalogue.assembly import assemble
from pkpd.catalogue.structures import COMPONENTS, OUTCOMES
from pkpd.checks import InputError
from pkpd.response import ExposureResponse, WeibullSurvival, WHOResponse
from pkpd.units import to_system
from tests.doctored import DATA, at, edited

FAULTS = tomllib.loads((DATA / "faults" / "models.toml").read_text(encoding="utf-8"))
LISTED = "Known: drugx.toml, drugy.toml, illness.toml."


# ---------------------------------------------------------------- what a good file gives


def test_numbers_are_in_the_units_of_the_file() -> None:
    model = load_model(DATA / "drugx.toml")
    assert at(model, "drugx.cl") == pytest.approx(15.3 * 24)
    assert at(model, "drugx.vc") == pytest.approx(6.0)
    assert at(model, "drugx.sc.bioav") == pytest.approx(0.55)
    assert at(model, "drugx.sc.tlag") == 0.0
    assert at(model, "drugx.receptor.kint") == pytest.approx(3.33 * 24)
    assert at(model, "drugx.receptor.kss") == pytest.approx(1.53e-6 / 15300 * 1e12)  # ug/L -> pmol/L
    assert model.units.time == "day"
    assert model.name == "drugx"
    assert model.references == pytest.approx({"bsa": 1.8, "wt": 70.0})


def test_a_substance_converts_units_of_activity() -> None:
    drug = load_card(DATA / "drugx.toml").drug
    assert drug is not None
    assert drug.substance.molar_mass == pytest.approx(15300)
    milligrams = to_system(3.0, "MIU", "amount", load_card(DATA / "drugy.toml").units, drug.substance) / 1e6
    assert milligrams == pytest.approx(0.18333, rel=1e-4)  # 3 MIU of 18 MIU = 1.1 mg, in ng


def test_wires_states_and_routes() -> None:
    model = load_model(DATA / "drugx.toml")
    amounts = {"drugx.central_amount", "drugx.peripheral1_amount", "drugx.sc.depot"}
    assert set(model.states) == {*amounts, "drugx.pool.level"}
    assert model.drugs[0].routes == ("sc", "iv")
    assert ("drugx", "clearance", ("drugx.receptor.clearance",)) in model.wires
    assert ("drugx", "rate", ("drugx.sc.rate",)) in model.wires


def test_the_card_says_what_the_file_says() -> None:
    card = load_card(DATA / "drugx.toml")
    cl = card.parameters["drugx.cl"]
    assert (cl.value, cl.unit, cl.dimension) == (15.3, "L/h", "volume/time")
    assert (cl.source, cl.at) == ("smith2019", "Table 3")
    assert cl.value_in_system == pytest.approx(367.2)
    assert cl.ci95 == (9.3, 25.2)
    assert card.parameters["drugx.pool.base"].dimension == "amount"
    assert card.parameters["drugx.sc.bioav"].why == "no i.v. arm"
    assert card.parameters["drugx.q"].note == "none found"
    assert card.parts["drugx.pool"].structure == "Turnover"
    assert card.parts["drugx.pool"].inputs == {"stimulus": ("drugx.receptor.occupancy",)}
    assert card.title == "Drug X, subcutaneous and intravenous"
    assert citations(card) == [
        "Smith A, et al. J Example 2019;1:1-10. doi: 10.0000/example. PMID: 1.",
        "Jones B. J Example 2020;2:11-20.",
    ]


def test_between_patient_variability_is_on_the_log_scale() -> None:
    card, model = load_card(DATA / "drugx.toml"), load_model(DATA / "drugx.toml")
    assert card.parameters["drugx.cl"].iiv == pytest.approx(0.5545, abs=1e-4)  # sqrt(ln(1 + 0.6^2))
    assert card.parameters["drugx.vc"].iiv == 0.28
    assert set(model.variability) == {"drugx.cl", "drugx.vc"}
    assert at(model, "drugx.cl.iiv") == pytest.approx(0.5545, abs=1e-4)


def test_uncertainty_of_the_typical_value_is_on_the_log_scale() -> None:
    parameters = load_card(DATA / "drugx.toml").parameters
    log_sd = parameters["drugx.cl"].log_sd
    assert log_sd is not None
    assert math.exp(2 * 1.96 * log_sd) == pytest.approx(25.2 / 9.3, rel=1e-4)
    assert parameters["drugx.vc"].log_sd == pytest.approx(0.09975, abs=1e-5)  # a CV of 10 %
    assert parameters["drugx.q"].log_sd is None
    assert Quantity(0.0, "1", "1", 1.0, "x", ci95=(-1.0, 1.0)).log_sd is None


def test_facts_are_in_the_units_of_the_model() -> None:
    card = load_card(DATA / "drugx.toml")
    peak, area = card.reproduces
    assert (peak.output, peak.start, peak.until) == ("drugx.central", 0.0, 1.0)
    assert (peak.low, peak.high) == (20.0, 110.0)
    assert peak.factor == pytest.approx(1e3 / (18e6 / 1.1) * 1e-3 / 15300 * 1e12)  # IU/mL -> pmol/L
    assert (area.start, area.until, area.low, area.high) == (2.0, 3.0, 8.0, 12.0)
    assert area.factor == pytest.approx(1e-6 / 15300 * 1e12 / 24)  # ng h/mL -> pmol day/L
    (miss,) = card.misses
    assert (miss.why, miss.kind, miss.factor) == ("one phase too few", "", pytest.approx(1 / 1440))


def test_a_disease_uses_drugs_in_its_own_units() -> None:
    model = load_model(DATA / "illness.toml")
    assert (model.units.time, model.units.amount) == ("h", "nmol")
    assert at(model, "drugx.receptor.kss") == pytest.approx(0.1)  # nmol/L
    assert at(model, "drugx.pool.base") == pytest.approx(0.13)
    assert at(model, "stimulus.ec50") == pytest.approx(0.1)  # ug/L of drug X
    assert at(model, "boost.ec50") == pytest.approx(100.0)  # ng/mL of drug Y in nmol/L
    assert at(model, "relief.reference") == pytest.approx(400.0)  # ng h/mL of drug Y, two wires upstream
    assert at(model, "tumour.size0") == pytest.approx(8.0)
    assert at(model, "tumour.capacity") == math.inf
    assert set(model.variability) == {"drugx.vc", "drugy.po.ka", "cells.kout"}
    assert model.references == pytest.approx({"bsa": 1.8, "wt": 70.0})


def test_a_disease_sets_numbers_of_its_drugs() -> None:
    card, model = load_card(DATA / "illness.toml"), load_model(DATA / "illness.toml")
    assert at(model, "drugx.cl") == pytest.approx(20.0)
    assert at(model, "drugx.receptor.kint") == pytest.approx(2.0)
    assert at(model, "drugx.sc.tlag") == pytest.approx(0.5)
    assert at(model, "drugx.vc") == pytest.approx(6.0)
    assert card.parameters["drugx.cl"].source == "green2022"
    assert card.parameters["drugx.vc"].source == "smith2019"
    assert set(card.sources) == {"green2022", "smith2019", "jones2020", "brown2021"}
    assert set(card.drugs["drugy"].parameters) == {"drugy.cl", "drugy.v", "drugy.po.ka"}
    assert card.drugs["drugx"].reproduces[0].until == 24.0


def test_outcomes_have_settings_in_model_time() -> None:
    model = load_model(DATA / "illness.toml")
    regression, survival, relief = (model.outcomes[name] for name in ("regression", "survival", "relief"))
    assert regression.times == (672.0, 1344.0)
    assert isinstance(regression, WHOResponse)
    assert regression.confirmation == 672.0
    assert isinstance(survival, WeibullSurvival)
    assert (survival.freeze, survival.summary) == (2016.0, "peak")
    assert isinstance(relief, ExposureResponse)
    assert relief.link == "log_logit"
    assert load_card(DATA / "illness.toml").parts["relief"].settings == {
        "link": "log_logit",
        "assessed": 672.0,
    }


def test_the_digest_follows_content_not_layout(folder: Path) -> None:
    def digest() -> str:
        return load_card("./illness.toml").digest

    first = digest()
    assert len(first) == 64
    assert load_model("./illness.toml").digest == first
    assert not edited("illness.toml", "# FICTITIOUS disease", "# A comment\n\n#")
    assert digest() == first
    assert not edited("drugy.toml", "value = 50, ", "value = 51, ")
    second = digest()
    assert second != first
    assert not edited("illness.toml", 'summary = "peak"', 'summary = "memory"')
    assert digest() not in (first, second)


# ---------------------------------------------------------------- the catalogue


def test_every_model_of_the_catalogue_loads() -> None:
    assert {"aldesleukin", "melatonin"} <= set(model_names())
    for name in model_names():
        assert [str(fault) for fault in check_model_file(name)] == []
        assert load_card(name).title == model_titles()[name]
        assert load_model(name).name == name
        assert model_path(name).name == f"{name}.toml"


def test_the_catalogue_is_listed_without_the_engine() -> None:
    code = (
        "import sys; from pkpd.catalogue import model_titles; assert model_titles()\n"
        "print(*({'jax', 'numpy', 'pint', 'equinox', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=DATA.parents[1]
    )
    assert run.stdout.strip() == ""


def test_a_file_anywhere_uses_drugs_of_the_catalogue(folder: Path) -> None:
    text = 'schema = 1\ntitle = "T"\n[units]\namount = "pmol"\n[drugs.melatonin]\nuse = "melatonin"\n'
    Path("here.toml").write_text(text, encoding="utf-8")
    model, drug = load_model("here.toml"), load_model("melatonin")
    assert at(model, "melatonin.cl") == pytest.approx(24 * at(drug, "melatonin.cl"))


def test_a_broken_file_does_not_hide_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("drugy.toml").write_text("schema =", encoding="utf-8")
    monkeypatch.setattr("pkpd.catalogue.files.shipped", lambda kind: folder)
    titles = model_titles()
    assert titles["drugx"] == "Drug X, subcutaneous and intravenous"
    assert titles["drugy"] == "cannot be read: models/drugy.toml: line 1: must be TOML. Invalid value."


def test_models_come_from_the_wheel_where_it_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_data" / "models").mkdir(parents=True)
    shutil.copy(DATA / "drugy.toml", tmp_path / "_data" / "models")
    monkeypatch.setattr("pkpd.catalogue.files.resources.files", lambda package: tmp_path)
    assert model_names() == ["drugy"]
    assert load_card("drugy").title == "Drug Y, oral"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "melatonni",
            'model: must be a model of the catalogue or the path of a TOML file, but is "melatonni". '
            'Did you mean "melatonin"?',
        ),
        ("./drugz.toml", './drugz.toml: must be a file that exists. Did you mean "drugy.toml"?'),
        ("no\0name.toml", f"no\0name.toml: must be a file that exists. {LISTED}"),
        ("x" * 5000 + ".toml", f"{'x' * 5000}.toml: must be a file that exists. {LISTED}"),
        (Path("nowhere/drugx.toml"), "nowhere/drugx.toml: must be a file that exists."),
        (Path(), f".: must be a file that exists. {LISTED}"),
    ],
)
def test_no_such_model(name: str | Path, message: str, folder: Path) -> None:
    assert [str(fault) for fault in check_model_file(name)] == [message]
    with pytest.raises(InputError) as error:
        load_model(name)
    assert str(error.value) == message


# ---------------------------------------------------------------- files that are not models


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"schema = 1\ntitle = \n", "x.toml: line 2: must be TOML. Invalid value."),
        (b"schema = 1\n\n[pk", "x.toml: line 3: must be TOML. Expected ']' at the end of a table"),
        (b"a = 1\na = 2\n", "x.toml: line 2: must be TOML. Cannot overwrite a value."),
        (b'title = "\xff"', "x.toml: must be text in UTF-8"),
        (b"a = " + b"[" * 100_000, "x.toml: must not be nested so deeply"),
        (b"#" * 1_000_001, "x.toml: must have at most 1000000 bytes"),
        (b"a = " + b"9" * 5000, "x.toml: must be TOML. Exceeds the limit"),
        (b"schema = 2\nwhat = 1\n", "x.toml: schema: must be 1, but is 2."),
        (b"schema = true\n", "x.toml: schema: must be 1, but is True."),
        (
            b'\xef\xbb\xbfschema = 1\r\ntitle = "x"\r\n[drugz]\r\n',
            'x.toml: drugz: must be a table of a disease model, but is "drugz". Did you mean "drugs"?',
        ),
        (b".".join([b"a"] * 1500) + b" = 1", "x.toml: schema: must be 1"),
    ],
)
def test_a_file_that_is_no_model(content: bytes, message: str, folder: Path) -> None:
    Path("x.toml").write_bytes(content)
    assert str(check_model_file("x.toml")[0]).startswith(message)


def test_a_file_that_cannot_be_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    (fault,) = check_model_file("drugx.toml")
    assert str(fault) == "drugx.toml: must be a file that can be read. Permission denied."


# ---------------------------------------------------------------- one fault each


@pytest.mark.parametrize("case", FAULTS["numbers"], ids=str)
def test_faults_of_a_number(case: dict[str, str], folder: Path) -> None:
    (line,) = (line for line in Path("drugx.toml").read_text(encoding="utf-8").splitlines() if "cl =" in line)
    assert edited("drugx.toml", line, case["new"]) == [f"drugx.toml: {case['told']}"]


@pytest.mark.parametrize("case", FAULTS["drugs"] + FAULTS["facts"] + FAULTS["variability"], ids=str)
def test_faults_of_a_drug_file(case: dict[str, str], folder: Path) -> None:
    assert edited("drugx.toml", case["old"], case["new"]) == [f"drugx.toml: {case['told']}"]


@pytest.mark.parametrize("case", FAULTS["diseases"], ids=str)
def test_faults_of_a_disease_file(case: dict[str, str], folder: Path) -> None:
    assert edited("illness.toml", case["old"], case["new"]) == [f"illness.toml: {case['told']}"]


def test_a_regimen_that_cannot_be_read(folder: Path) -> None:
    (message,) = edited("drugx.toml", '"drugx 15 MIU sc"', '"drugx 15 MIU sc q24h x0"')
    assert message.startswith("drugx.toml: reproduces[0].regimen: `xN` must be a whole number of at least 1")


def test_drugs_that_differ_in_a_covariate_need_the_disease_to_state_it(folder: Path) -> None:
    assert not edited("drugy.toml", "value = 1.8", "value = 1.9")
    told = [str(fault) for fault in check_model_file("illness.toml")]
    assert told == ["illness.toml: covariates.bsa: must be given, because the drugs state different values."]
    given = '[covariates]\nbsa = { value = 1.7, unit = "m^2", source = "green2022", at = "p. 1" }\n[units]'
    assert not edited("illness.toml", "[units]", given)
    assert load_model("./illness.toml").references["bsa"] == 1.7


def test_faults_of_a_drug_file_are_told_in_that_file(folder: Path) -> None:
    edited("drugx.toml", 'unit = "L/h", source = "jones2020"', 'unit = "L", source = "jones2020"')
    edited("drugx.toml", 'c = "drugx.central"', 'c = "drugx.centre"')
    edited("drugy.toml", "schema = 1", "schema = 7")
    told = {str(fault) for fault in check_model_file("illness.toml")}
    assert 'drugx.toml: pk.q.unit: must be volume/time, but is "L".' in told
    assert "drugy.toml: schema: must be 1, but is 7." in told
    Path("drugy.toml").write_text("schema", encoding="utf-8")
    assert "drugy.toml: line 1: must be TOML" in str(check_model_file("illness.toml")[0])


def test_all_faults_are_told_at_once(folder: Path) -> None:
    edited("drugx.toml", 'unit = "L/h", source = "jones2020"', 'unit = "L", source = "jones2020"')
    edited("drugx.toml", "value = 0.21", "value = -0.21")
    edited("drugx.toml", 'c = "drugx.central"', 'c = "drugx.centre"')
    edited("drugx.toml", "rtol = 0.2", "rtol = -0.2")
    told = edited("drugx.toml", 'pmid = "1"', "pmid = 1")
    assert [message.split(": ")[1] for message in told] == [
        "sources.smith2019.pmid",
        "pk.q.unit",
        "routes.sc.ka.value",
        "reproduces[1].rtol",
        "components.receptor.inputs.c",
    ]
    with pytest.raises(InputError) as error:
        load_card("./drugx.toml")
    assert len(error.value.faults) == 5


SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JUNK = SCALAR | st.lists(SCALAR, max_size=3) | st.dictionaries(st.text(max_size=3), SCALAR, max_size=2)


@given(st.data())
@settings(max_examples=30)
def test_whatever_stands_in_a_file_a_fault_is_told_in_words(data: st.DataObject) -> None:
    """One value of a good file is dropped or replaced by anything."""

    def document(name: str) -> Document:
        return Document(
            name, f"{name}.toml", tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))
        )

    spoilt = document(data.draw(st.sampled_from(["drugx", "illness"])))
    table: Any = spoilt.content
    while isinstance(table, dict | list) and table:
        key = data.draw(st.sampled_from(sorted(table) if isinstance(table, dict) else range(len(table))))
        if not isinstance(table[key], dict | list) or not table[key] or data.draw(st.integers(0, 3)) == 0:
            table[key] = data.draw(JUNK)
            if table[key] is None:
                del table[key]
            break
        table = table[key]
    told = ()
    try:
        assemble(spoilt, document)
    except InputError as error:
        told = error.faults
    assert all(fault.place and fault.rule and len(str(fault)) < 1000 for fault in told)


def test_the_page_of_models_lists_every_structure() -> None:
    page = (Path(shipped("models")) / "README.md").read_text(encoding="utf-8")
    names = COMPONENTS.exported() | OUTCOMES.exported()
    assert [name for name in names if f"`{name}`" not in page] == []
