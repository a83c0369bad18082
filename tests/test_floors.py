"""The house keeps its floors: imports point down, and what computes needs little."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOORS = {"arms", "catalogue", "dosing.nonmem", "labels", "ledger", "records", "store", "units"}
FACE = {"app", "cli", "devices", "plot", "report"}
ENGINE = {"diffrax", "equinox", "jax", "jaxtyping", "numpy", "numpyro", "optimistix", "scipy"}
HEAVY = {"arviz", "matplotlib", "pandas", "pint", "rich", "typer", "xarray"}


def run_from_root(code: str) -> str:
    """What a fresh interpreter prints."""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_imports_point_down_and_every_module_has_a_floor() -> None:
    lint = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    run_from_root(lint)


def test_the_picture_of_the_floors_is_the_contract() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    [contract] = tools["importlinter"]["contracts"]
    drawn = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Floors")[1].split("```")[1]
    floors = [set(line.split()) for line in drawn.strip().splitlines()]
    assert floors == [set(re.findall(r"\w+", layer)) for layer in contract["layers"]]


def test_modules_that_compute_import_only_the_engine() -> None:
    allowed = ENGINE | {"pkpd"} | sys.stdlib_module_names
    strangers = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in _numeric()
        for name in _imports(path)
        if name.split(".")[0] not in allowed
    ]
    assert not strangers


def test_modules_that_compute_load_nothing_heavy() -> None:
    names = [f"pkpd.{_dotted(path)}" for path in _numeric()]
    code = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\nprint(*sys.modules)"
    loaded = set(run_from_root(code).split())
    assert "jax" in loaded
    assert not HEAVY & loaded


def test_inside_the_house_modules_are_named_in_full() -> None:
    short = [path.relative_to(ROOT) for path in _modules() if "pkpd" in _imports(path)]
    assert not short


def _modules() -> list[Path]:
    """Every module but the root, which only hands out names."""
    return [path for path in sorted((ROOT / "pkpd").rglob("*.py")) if path != ROOT / "pkpd" / "__init__.py"]


def _numeric() -> list[Path]:
    return [path for path in _modules() if not any(_within(_dotted(path), door) for door in DOORS | FACE)]


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT / "pkpd").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def _within(module: str, door: str) -> bool:
    return module == door or module.startswith(f"{door}.")


def _imports(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."
