"""What holds for every test: 64-bit, checked annotations, examples that repeat.

Patients are the trailing axis of every array and parameters broadcast against it, so rank promotion is
part of the design and not an error.
"""

import shutil
from pathlib import Path

import jax
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)

install_import_hook("pkpd", "beartype.beartype")

settings.register_profile("pkpd", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("pkpd")


def pytest_addoption(parser):
    parser.addoption("--write", action="store_true", help="Write tables anew that the checks keep.")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the fictitious models."""
    for path in (Path(__file__).parent / "data").glob("*.toml"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
