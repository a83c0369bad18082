"""Whoever installs the wheel can do what a checkout can, and the pins are what they say."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive as a package index would have it."""
    folder = tmp_path_factory.mktemp("dist")
    _python("-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    assert len(list(folder.glob("*.tar.gz"))) == 1
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a new environment that holds the wheel and sees the packages of this one."""
    home = tmp_path_factory.mktemp("environment")
    _python("-m", "venv", "--without-pip", home)
    where = {name: Path(sysconfig.get_path(name, "venv", _base(home))) for name in ("scripts", "purelib")}
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (where["purelib"] / "tests.pth").write_text("\n".join(sorted(paths)) + "\n")
    interpreter = where["scripts"] / Path(sys.executable).name
    _python("-m", "pip", "--python", interpreter, "install", "--quiet", "--no-deps", "--no-index", wheel)
    return where["scripts"]


@pytest.mark.parametrize("folder", ["models", "fits"])
def test_wheel_holds_the_data(wheel: Path, folder: str) -> None:
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()]
    ours = {f"pkpd/_data/{file}" for file in files}
    assert any(name.endswith(".toml") for name in ours)
    assert ours <= set(zipfile.ZipFile(wheel).namelist())


def test_wheel_holds_code_types_and_licence_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"pkpd/py.typed", "pkpd/__init__.py", "pkpd/__init__.pyi"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {"pkpd", f"pkpd-{PROJECT['version']}.dist-info"}


def test_installed_wheel_lists_the_models_and_fits(scripts: Path, tmp_path: Path) -> None:
    code = "import pkpd; print(pkpd.__file__)"
    assert str(ROOT) not in _output(tmp_path, scripts / Path(sys.executable).name, "-c", code)
    assert "neuroimmunotherapy" in _output(tmp_path, scripts / "pkpd", "models")
    stored = "import pkpd; print(len(pkpd.load_answer('lissoni1995/joint')[1].draws))"
    assert int(_output(tmp_path, scripts / Path(sys.executable).name, "-c", stored)) >= 400
    words = ("simulate", "melatonin", "--regimen", "melatonin 40 mg po q24h x3", "--json")
    assert json.loads(_output(tmp_path, scripts / "pkpd", *words))["outputs"]
    assert "no fault" in _output(tmp_path, scripts / "pkpd", "check", "lissoni1995/exposure")


@pytest.mark.slow
def test_installed_wheel_fits(scripts: Path, tmp_path: Path) -> None:
    words = ("fit", "lissoni1995/exposure", "--quick", "--json", "--out", "look.json")
    answer = json.loads(_output(tmp_path, scripts / "pkpd", *words))
    assert answer["estimates"]
    assert len({(row["study"], row["arm"]) for row in answer["arms"]}) >= 2
    assert [path.name for path in tmp_path.iterdir()] == ["look.json"]
    assert "draws" not in json.loads((tmp_path / "look.json").read_text(encoding="utf-8"))


def test_constraints_pin_every_requirement_and_name_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    extras = [
        need for extra, needs in PROJECT["optional-dependencies"].items() if extra != "gpu" for need in needs
    ]
    wanted = {_plain(need) for need in [*PROJECT["dependencies"], *extras]}
    assert wanted <= {_plain(pin) for pin in pins}


def test_lowest_versions_can_be_read_off() -> None:
    needs = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    assert all(re.fullmatch(r"[\w-]+(\[\w+\])?>=[\d.]+", need) for need in needs)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'\n    "{need}",' in text for need in needs)


def test_citation_has_this_version() -> None:
    assert f"\nversion: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def _base(home: Path) -> dict[str, str]:
    return {"base": str(home), "platbase": str(home)}


def _python(*arguments: object) -> None:
    """Run this interpreter, showing what it printed if it fails."""
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _output(folder: Path, *command: object) -> str:
    """What a command prints when it is run in `folder`, where the checkout cannot be imported."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _plain(requirement: str) -> str:
    """The normalised name of a requirement."""
    name = re.split(r"[\[>=]", requirement)[0]
    return re.sub(r"[-_.]+", "-", name).lower()
