"""Model files by name or path: found, read as TOML, assembled; light until a card or a model is asked for."""

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pkpd.card import Card, Document
from pkpd.catalogue.extending import extend, located
from pkpd.checks import Fault, InputError, did_you_mean, fail

if TYPE_CHECKING:
    import pkpd.model

MAX_BYTES = 1_000_000
_USE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_WHERE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def shipped(kind: str) -> Path:
    """The folder `models` or `fits`: of the wheel, or of the checkout."""
    packed = Path(str(resources.files("pkpd") / "_data" / kind))
    return packed if packed.is_dir() else Path(__file__).parents[2] / kind


def model_names() -> list[str]:
    """The names of the models in the catalogue."""
    return _names_in(shipped("models"))


def model_titles() -> dict[str, str]:
    """Name and title of each model in the catalogue; a file that cannot be read says so in its title."""
    titles = {}
    for name in model_names():
        try:
            titles[name] = str(_read(model_path(name)).content.get("title", ""))
        except InputError as error:
            titles[name] = f"cannot be read: {error}"
    return titles


def model_path(name_or_path: str | Path) -> Path:
    """The file of a model in the catalogue, or a TOML file itself; raises `InputError` if there is none."""
    text = str(name_or_path)
    if isinstance(name_or_path, str) and not re.search(r"[/\\]|\.toml$", text):
        if text in model_names():
            return shipped("models") / f"{text}.toml"
        rule = "must be a model of the catalogue or the path of a TOML file"
        raise fail("model", rule, text, did_you_mean(text, model_names()))
    path = Path(text)
    if not _is_file(path):
        near = [f"{name}.toml" for name in _names_in(path.parent)]
        raise fail("", "must be a file that exists", hint=did_you_mean(path.name, near), file=text)
    return path


def load_card(name_or_path: str | Path) -> Card:
    """What a model file says; raises `InputError` with all its faults."""
    return _load(name_or_path)[0]


def load_model(name_or_path: str | Path) -> "pkpd.model.Model":
    """The model of a file, its numbers in the file's units; raises `InputError` with all its faults."""
    return _load(name_or_path)[1]


def check_model_file(name_or_path: str | Path) -> list[Fault]:
    """All faults of a model file; none if it loads."""
    try:
        _load(name_or_path)
    except InputError as error:
        return list(error.faults)
    return []


def _load(name_or_path: str | Path) -> tuple[Card, "pkpd.model.Model"]:
    from pkpd.catalogue.assembly import assemble

    path = model_path(name_or_path)
    layers: dict[str, tuple[Document, ...]] = {}

    def opened(path: Path) -> Document:
        found, own = extend(_read(path), lambda name: _read(_near(name, path.parent, "model")))
        layers[found.label] = own
        return found

    try:
        return assemble(opened(path), lambda use: opened(_near(use, path.parent, "drug")))
    except InputError as error:
        told = [located(f, layers[f.file]) if f.file in layers else f for f in error.faults]
        raise InputError(told) from error


def _near(name: str, folder: Path, kind: str) -> Path:
    """The file of a drug or model in the folder of the file that names it, else in the catalogue."""
    if not _USE.fullmatch(name):
        raise fail("", f"must be the name of a {kind} file, without folder or ending", name)
    for path in (folder / f"{name}.toml", shipped("models") / f"{name}.toml"):
        if _is_file(path):
            return path
    near = {*model_names(), *_names_in(folder)}
    raise fail("", f"must be the name of a {kind} file", name, did_you_mean(name, near))


def _read(path: Path) -> Document:
    """A model file's tables; raises `InputError` where it is not TOML."""
    in_catalogue = path.parent.resolve() == shipped("models").resolve()
    label = f"models/{path.name}" if in_catalogue else path.as_posix()
    return Document(path.stem, label, read_toml(path, label))


def read_toml(path: Path, label: str) -> dict[str, Any]:
    """The tables of a TOML file, `label` in messages; raises `InputError` where it is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise fail("", "must be a file that can be read", hint=f"{error.strerror}.", file=label) from error
    if len(data) > MAX_BYTES:
        raise fail("", f"must have at most {MAX_BYTES} bytes", file=label)
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except RecursionError as error:
        raise fail("", "must not be nested so deeply", file=label) from error
    except UnicodeDecodeError as error:
        raise fail("", "must be text in UTF-8", file=label) from error
    except ValueError as error:
        raise _not_toml(str(error), data, label) from error


def _not_toml(message: str, data: bytes, label: str) -> InputError:
    where = _WHERE.search(message)
    line = int(where[1] or data.count(b"\n") + 1) if where else 0
    return fail(
        f"line {line}" if line else "", "must be TOML", hint=f"{_WHERE.sub('', message)}.", file=label
    )


def _names_in(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml")) if _is_folder(folder) else []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
