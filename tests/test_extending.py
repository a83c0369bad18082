"""A model file that extends another: what it takes, what it replaces, and where its faults are told."""

import tomllib
from pathlib import Path

import pytest

from pkpd.card import Document, citations
from pkpd.catalogue import check_model_file, load_card, load_model
from pkpd.catalogue.extending import extend
from tests.doctored import at, edited

HEAD = 'schema = 1\nextends = "illness"\ntitle = "More"\nsummary = "More of it."\n'
MORE = """
[sources.more2023]
citation = "More M. J Example 2023;5:6-9."

[drugs.drugx.set]
cl = { value = 25, unit = "L/h", source = "more2023", at = "Table 1" }

[components.mean]
structure = "Turnover"
inputs = { stimulus = "stimulus.effect" }
kout = { value = 0.2, unit = "1/day", source = "more2023", at = "Table 2" }

[outcomes.survival]
inputs = { direct = "mean.excess" }
b_effect = { value = -0.2, unit = "1", source = "more2023", at = "Table 3" }
b_direct = { value = 0, unit = "1", source = "more2023", at = "Table 3" }
"""


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def faults(text: str) -> list[str]:
    return [str(fault) for fault in check_model_file(write("./more.toml", text))]


def documents(*texts: str) -> Document:
    """The first of some files `a`, `b`, ... with what it extends."""
    read = {n: Document(n, f"{n}.toml", tomllib.loads(t)) for n, t in zip("abc", texts, strict=False)}
    return extend(read["a"], read.__getitem__)[0]


def test_a_file_takes_the_tables_of_the_one_it_extends(folder: Path) -> None:
    assert faults(HEAD + MORE) == []
    card, base = load_card("./more.toml"), load_card("./illness.toml")
    assert (card.name, card.title, card.summary) == ("more", "More", "More of it.")
    assert set(card.parts) == {*base.parts, "mean"}
    assert card.parts["regression"] == base.parts["regression"]
    assert card.parts["survival"].inputs == {**base.parts["survival"].inputs, "direct": ("mean.excess",)}
    assert len(citations(card)) == len(citations(base)) + 1
    model = load_model("./more.toml")
    assert at(model, "drugx.cl") == pytest.approx(25.0)
    assert at(model, "drugx.receptor.kint") == pytest.approx(2.0)
    assert at(model, "survival.b_effect") == pytest.approx(-0.2)


def test_a_number_is_replaced_whole(folder: Path) -> None:
    """Nothing of the assumption that it replaces stands beside a published number."""
    assert faults(HEAD + MORE) == []
    number = load_card("./more.toml").parameters["survival.b_effect"]
    assert (number.source, number.why, number.ci95) == ("more2023", "", None)


def test_the_digest_is_that_of_the_same_file_written_out(folder: Path) -> None:
    assert faults(HEAD + MORE) == []
    text = Path("illness.toml").read_text(encoding="utf-8")
    assert (
        text.count('cl = { value = 20, unit = "L/h", source = "green2022", at = "Table 1", rse = 0.2 }') == 1
    )
    text = text.replace(
        'cl = { value = 20, unit = "L/h", source = "green2022", at = "Table 1", rse = 0.2 }', ""
    )
    wired = 'inputs = { log_ratio = "tumour.log_ratio", excess = "cells.excess" }\nscale'
    assert text.count(wired) == 1
    text = text.replace(wired, wired.replace(" }\nscale", ', direct = "mean.excess" }\nscale'))
    old = 'b_effect = { value = -0.1, unit = "1", source = "assumed", why = "unknown", ci95 = [-0.5, 0.5] }'
    assert text.count(old) == 1
    new = 'b_effect = { value = -0.2, unit = "1", source = "more2023", at = "Table 3" }\n'
    new += 'b_direct = { value = 0, unit = "1", source = "more2023", at = "Table 3" }'
    sources, set_table, component = MORE.split("\n\n")[0], MORE.split("\n\n")[1], MORE.split("\n\n")[2]
    text = text.replace(old, new).replace("[drugs.drugx.set]\n", set_table + "\n")
    write("./whole.toml", text + f"\n{sources}\n\n{component}\n")
    assert [str(fault) for fault in check_model_file("./whole.toml")] == []
    assert load_card("./whole.toml").digest == load_card("./more.toml").digest
    assert load_card("./illness.toml").digest != load_card("./more.toml").digest


def test_the_digest_follows_the_extended_file(folder: Path) -> None:
    assert faults(HEAD + MORE) == []
    first = load_card("./more.toml").digest
    assert not edited("illness.toml", 'visits = ["28 d", "8 wk"]', 'visits = ["28 d", "9 wk"]')
    assert load_card("./more.toml").digest != first


def test_files_extend_in_steps_and_a_part_with_its_structure_is_replaced_whole() -> None:
    a = 'extends = "b"\ntitle = "A"\nsummary = "A."\n[components.x]\nstructure = "S"\ng = 1\n'
    b = 'extends = "c"\ntitle = "B"\nsummary = "B."\n[components.x]\nh = 2\n[components.y]\nk = 2\n'
    c = 'title = "C"\nvisits = [1, 2]\n[components.x]\nstructure = "T"\nh = 3\n[components.y]\nk = 3\nl = 3\n'
    content = documents(a, b, c).content
    assert content["components"] == {"x": {"structure": "S", "g": 1}, "y": {"k": 2, "l": 3}}
    assert (content["title"], content["visits"], "extends" in content) == ("A", [1, 2], False)


def test_a_drug_file_may_extend_another(folder: Path) -> None:
    text = 'schema = 1\nextends = "drugy"\ntitle = "Y in children"\nsummary = "Y."\n'
    write("./child.toml", text + "[pk.cl]\niiv_cv = 0.5\n")
    assert not edited("illness.toml", 'use = "drugy"', 'use = "child"')
    child, drug = load_card("./illness.toml").drugs["drugy"], load_card("./drugy.toml")
    assert child.parameters["drugy.cl"].value == drug.parameters["drugy.cl"].value
    assert child.parameters["drugy.cl"].iiv != drug.parameters["drugy.cl"].iiv


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("extends = 3", "./more.toml: extends: must be the name of a model file."),
        (
            'extends = "ilness"',
            './more.toml: extends: must be the name of a model file, but is "ilness". '
            'Did you mean "illness"?',
        ),
        (
            'extends = "../illness"',
            "./more.toml: extends: must be the name of a model file, without folder or ending, "
            'but is "../illness".',
        ),
        (
            'extends = "more"',
            "./more.toml: extends: must not lead back to a file that it started from, "
            'but is "more". more extends more.',
        ),
    ],
)
def test_a_file_that_cannot_be_extended(text: str, told: str, folder: Path) -> None:
    assert faults(f'schema = 1\n{text}\ntitle = "T"\nsummary = "S."\n') == [told.replace("./", "", 1)]


def test_files_must_not_extend_each_other(folder: Path) -> None:
    write("./other.toml", 'schema = 1\nextends = "more"\ntitle = "O"\nsummary = "O."\n')
    (told,) = faults('schema = 1\nextends = "other"\ntitle = "M"\nsummary = "M."\n')
    assert told.startswith("other.toml: extends: must not lead back")
    assert told.endswith("more extends other extends more.")


def test_what_a_file_must_say_itself(folder: Path) -> None:
    source = '[sources.green2022]\ncitation = "Red R. J Example 2021;1:2."\n'
    assert faults(f'schema = 1\nextends = "illness"\n{source}') == [
        "more.toml: title: must be given, because the file extends another.",
        "more.toml: summary: must be given, because the file extends another.",
        "more.toml: sources.green2022: must be cited as in the file that is extended, or have another name.",
    ]


def test_a_fault_is_told_in_the_file_in_which_its_entry_stands(folder: Path) -> None:
    assert edited("illness.toml", 'summary = "peak"', 'summary = "peek"')
    assert edited("drugy.toml", "value = 50, ", 'value = "50", ')
    told = faults(HEAD + MORE.replace('"mean.excess"', '"mean.excel"'))
    assert len(told) == 3
    assert any(fault.startswith("illness.toml: outcomes.survival.summary: must be one of") for fault in told)
    assert any(fault.startswith("drugy.toml: ") for fault in told)
    assert any(fault.startswith("more.toml: outcomes.survival.inputs.direct: ") for fault in told)
