"""The door for long computations: arrays that are kept as they come, and outlive the process."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pkpd.checks import fail
from pkpd.files import written


@dataclass(frozen=True)
class Store:
    """A folder with one file (.npz) for each name, written whole or not at all."""

    folder: Path

    def read(self, name: str) -> list[np.ndarray] | None:
        """The arrays under a name, None where there is nothing; raises `InputError` for a damaged file."""
        path = self._path(name)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                return [kept[f"arr_{i}"] for i in range(len(kept.files))]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise fail("", f"must be a whole file ({error})", hint="Delete it.", file=str(path)) from error

    def write(self, name: str, arrays: Sequence[np.ndarray]) -> None:
        """Keeps arrays under a name, in place of what was there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with written(self._path(name)) as part, part.open("wb") as file:
            np.savez(file, *arrays)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"
