"""A long study as written: many fits of one question."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pkpd.catalogue import read_toml
from pkpd.checks import Findings, InputError, did_you_mean, fail
from pkpd.records.fields import known, names, numbers, text

KINDS: dict[str, dict[str, Any]] = {  # and their options
    "bootstrap": {"emulate": 2000},
    "influence": {"emulate": 2000},
    "starts": {},
    "calibration": {
        "free": (),
        "method": "nuts",
        "patients": 32,
        "emulate": 3000,
        "chains": 4,
        "warmup": 200,
        "draws": 250,
        "power": 1,
    },
}
METHODS = ("nuts", "laplace")
SIZES = {"items": 1000, "chunk": 20, "seed": 1}
MOST = 1_000_000
TELLING = ("cli", "plot")  # parts of this package


@dataclass(frozen=True)
class Study:
    """How many items of a kind of study of a fit, computed so many at once; `digest` is the file's."""

    path: Path
    title: str
    kind: str
    fit: str
    items: int
    chunk: int
    seed: int
    options: Mapping[str, Any]

    @property
    def chunks(self) -> int:
        """How many files its results are."""
        return -(-self.items // self.chunk)

    def numbers(self, chunk: int) -> range:
        """The items of a chunk."""
        return range(chunk * self.chunk, min((chunk + 1) * self.chunk, self.items))

    @property
    def facts(self) -> dict[str, Any]:
        """What the file asks for."""
        asked = {"kind": self.kind, "fit": self.fit, "items": self.items, "chunk": self.chunk}
        return {**asked, "seed": self.seed, **self.options}

    @property
    def answered(self) -> bool:
        """Whether it is of the fit's answer, not of its question only."""
        return self.kind != "calibration"


def is_study(path: Path) -> bool:
    """Whether a TOML file has what only a study has."""
    try:
        return path.suffix == ".toml" and path.is_file() and "kind" in read_toml(path, str(path))
    except InputError:
        return False


def load_study(path: str | Path) -> Study:
    """Reads a study; raises `InputError` with every fault."""
    path = Path(path)
    if path.suffix != ".toml" or not path.is_file():
        raise fail("", "must be a TOML file that exists", file=str(path))
    content, findings = read_toml(path, str(path)), Findings(str(path))
    kind = text(content, "kind", findings)
    if kind not in KINDS:
        findings.add("kind", f"must be one of {', '.join(KINDS)}", kind, did_you_mean(kind, KINDS))
    options = KINDS.get(kind, {})
    sizes = {key: value for key, value in SIZES.items() if kind != "influence" or key != "items"}
    known(content, ("schema", "title", "kind", "fit", *sizes, *options), findings)
    whole = sizes | {key: value for key, value in options.items() if isinstance(value, int)}
    found = numbers({key: content[key] for key in whole if key in content}, whole, "", findings, whole=True)
    if "free" in options:
        found["free"] = names(content, "free", findings)
        found["method"] = text(content, "method", findings, default="nuts")
        if found["method"] not in METHODS:
            hint = did_you_mean(found["method"], METHODS)
            findings.add("method", f"must be {' or '.join(METHODS)}", found["method"], hint)
    title, fit = text(content, "title", findings, default=""), text(content, "fit", findings)
    if found.get("items", 1) > MOST:
        findings.add("items", f"must be at most {MOST}", found["items"])
    findings.raise_if_any()
    items = found["items"] if "items" in found else _alternatives(fit)
    return Study(
        path=path,
        title=title,
        kind=kind,
        fit=fit,
        items=items,
        chunk=min(found["chunk"], items),
        seed=found["seed"],
        options={key: found[key] for key in options},
    )


def _alternatives(fit: str) -> int:
    """How many there are to a fit's evidence and priors."""
    from pkpd.infer.influence import alternatives
    from pkpd.records.resolve import load_question, resolve

    return len(alternatives(resolve(load_question(fit)).problem)[0])


def check_study(path: str | Path) -> None:
    """Raises `InputError` for the faults of a study and of its fit."""
    from pkpd.records.batch import facts_of

    facts_of(load_study(path))


def code_digest() -> str:
    """Of this package's source but for what only tells of results: those of other code are not mixed."""
    total, root = hashlib.sha256(), Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place.parts[0] not in TELLING:
            total.update(place.as_posix().encode())
            total.update(path.read_bytes())
    return total.hexdigest()
