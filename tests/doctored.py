"""The fictitious models of the tests, and what is wrong with them after a change."""

from pathlib import Path

import numpy as np

from pkpd.catalogue import check_model_file
from pkpd.model import Model

DATA = Path(__file__).parent / "data"


def edited(name: str, old: str, new: str) -> list[str]:
    """What is wrong with a model of the working directory after one replacement."""
    path = Path(name)
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")
    return [str(fault) for fault in check_model_file(path)]


def at(model: Model, path: str) -> float:
    """A parameter as a number."""
    return np.asarray(model.get(path)).item()
