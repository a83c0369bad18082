"""What outlives the process of a long computation, and whether it is still of the same question."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from pkpd.checks import fail


@runtime_checkable
class Keep(Protocol):
    """A place for sets of arrays, each under a name, that outlives the process."""

    def read(self, name: str) -> list[np.ndarray] | None: ...

    def write(self, name: str, arrays: Sequence[np.ndarray]) -> None: ...


class Nowhere:
    """Keeps nothing."""

    def read(self, name: str) -> None:
        return None

    def write(self, name: str, arrays: Sequence[np.ndarray]) -> None:
        pass


def same_density(now: float, then: float) -> None:
    """Raises `InputError` where the log density of what is kept is not today's."""
    if not abs(now - then) <= 1e-6 * (1.0 + abs(then)):
        rule = "must be of today's density (the code or the model has changed since)"
        raise fail("keep", rule, f"{then:.6f} instead of {now:.6f}", "Choose an empty folder.")
