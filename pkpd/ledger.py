"""The door for long studies: results in chunks, one file each, that outlive the process.

A folder is of one study: `study.json` says which, and what its results depend on. A chunk is a netCDF file
that xarray reads without this package; it is written whole or not at all and says its own digest. One process
at a time works in a folder.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray
from filelock import FileLock, Timeout

from pkpd.checks import Findings, fail
from pkpd.devices import in_threads
from pkpd.files import plain, written

Progress = Callable[[int], None]

ITEM = "item"  # the axis along which chunks are joined
MANIFEST, LOCK = "study.json", ".lock"


@dataclass(frozen=True)
class Ledger:
    """The folder of a study of `chunks` chunks; `facts` are what its results depend on."""

    folder: Path
    facts: Mapping[str, Any]
    chunks: int

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """The folder for this process alone; begun where it is new, swept of what a killed process left.

        Raises `InputError` where it is another study's, or another process works in it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / LOCK, timeout=0):
                if self.known() is None:
                    with written(self._manifest) as part:
                        part.write_text(json.dumps(self._content(), indent=1) + "\n", "utf-8")
                self.check()
                for left in self.folder.glob(".*.part"):
                    left.unlink()
                yield
        except Timeout as error:
            rule = "must not be in use by another process"
            raise fail("", rule, hint="Wait for it, or stop it.", file=str(self.folder)) from error

    def fill(self, begin: Callable[[], Callable[[int], xarray.Dataset]], progress: Progress) -> int:
        """Computes the chunks that are missing, a thread for each core; says how many they were.

        `begin` prepares what computes a chunk, and is not called where none is missing; `progress` is told
        how many chunks there are. Raises `InputError` as `claimed` does, `OSError` where a chunk cannot be
        written; those that are there stay.
        """
        with self.claimed():
            missing = sorted(set(range(self.chunks)) - set(self.done()))
            if not missing:
                return 0
            compute, lock, there = begin(), threading.Lock(), self.chunks - len(missing)

            def one(chunk: int) -> None:
                nonlocal there
                self.write(chunk, compute(chunk))
                with lock:
                    there += 1
                    progress(there)

            in_threads(one, missing)
        return len(missing)

    def known(self) -> dict[str, Any] | None:
        """What the folder says of its study, None where it holds none."""
        try:
            return json.loads(self._manifest.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise fail("", "must be a whole file", hint=str(error), file=str(self._manifest)) from error

    def check(self) -> None:
        """Raises `InputError` where the folder is another study's: every fact that differs is a fault."""
        then, now = self.known() or {}, self._content()
        findings = Findings(str(self._manifest))
        for name in sorted({*then, *now}):
            if then.get(name) != now.get(name):
                hint = f"The folder holds {then.get(name)}. Choose another folder, or delete this one."
                findings.add(name, "must be what the folder's results were made with", now.get(name), hint)
        findings.raise_if_any()

    def done(self) -> list[int]:
        """The chunks that are there."""
        return [chunk for chunk in range(self.chunks) if self._path(chunk).exists()]

    def write(self, chunk: int, found: xarray.Dataset) -> None:
        """Keeps a chunk; an `OSError` (a full disk) leaves the others as they are."""
        marks = {"digest": digest_of(found), "study": self._digest()}
        with written(self._path(chunk)) as part:
            found.assign_attrs(marks).to_netcdf(part, engine="scipy", format="NETCDF3_64BIT")

    def read(self, chunk: int) -> xarray.Dataset:
        """A chunk; raises `InputError` where it is missing, damaged or of another study."""
        path = self._path(chunk)
        hint = "Delete it: pkpd batch resume computes it again."
        try:
            with xarray.open_dataset(path, engine="scipy", mmap=False) as file:
                found = file.load()
        except FileNotFoundError as error:
            raise fail("", "must exist", hint="pkpd batch resume computes it.", file=str(path)) from error
        except Exception as error:  # netCDF's reader fails in many ways over damaged bytes
            raise fail("", f"must be a whole file ({error})", hint=hint, file=str(path)) from error
        if found.attrs.get("study") != self._digest():
            raise fail("", "must be a chunk of this study", hint=hint, file=str(path))
        if found.attrs.get("digest") != digest_of(found):
            raise fail("", "must hold what was written", hint=hint, file=str(path))
        return found.drop_attrs()

    def all(self) -> xarray.Dataset:
        """The chunks that are there as one, in order; raises `InputError` as `read` does, or for none."""
        done = self.done()
        if self.known() is not None:
            self.check()
        if not done:
            raise fail("", "must hold a chunk", hint="pkpd batch run begins.", file=str(self.folder))
        return xarray.concat([self.read(chunk) for chunk in done], ITEM, data_vars="minimal")

    @property
    def _manifest(self) -> Path:
        return self.folder / MANIFEST

    def _path(self, chunk: int) -> Path:
        return self.folder / f"chunk-{chunk:05d}.nc"

    def _content(self) -> dict[str, Any]:
        return {**plain(self.facts), "chunks": self.chunks}

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()


def digest_of(found: xarray.Dataset) -> str:
    """Of names, axes and values, whatever the types in which a file keeps them."""
    total = hashlib.sha256()
    for name in sorted(map(str, found.variables)):
        values = found[name].values
        total.update(f"{name} {found[name].dims} {values.shape} ".encode())
        numeric = np.issubdtype(values.dtype, np.number) or values.dtype == bool
        total.update(values.astype("<f8").tobytes() if numeric else json.dumps(values.tolist()).encode())
    return total.hexdigest()
