"""`extends`: a model file takes the tables of another, and its own replace them or add to them."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from pkpd.card import Document
from pkpd.checks import Fault, Findings, InputError

EXTENDS = "extends"
_OWN = ("title", "summary")
_WHOLE = ("value", "structure", "citation")
_STEP = re.compile(r'\.?(?:"((?:[^"\\]|\\.)*)"|([^.\[\]"]+))|\[(\d+)\]')


def extend(document: Document, find: Callable[[str], Document]) -> tuple[Document, tuple[Document, ...]]:
    """A file with the tables of those that it extends, and all of them as written, the file itself first.

    Tables are merged by key. A number, a source, and a part that states its structure are replaced whole, so
    that nothing of the one replaced is left beside what replaces it; so are lists. Title and summary are the
    file's own. `find` opens a file by name.

    Raises `InputError` where a file is not found or extends itself, in steps or at once, where a file that
    extends lacks its own title or summary, and where a source is cited otherwise than in the extended file.
    """
    layers = [document]
    while EXTENDS in (top := layers[-1]).content:
        layers.append(_extended(top, layers, find))
    findings = Findings()
    content = dict(layers[-1].content)
    for layer in reversed(layers[:-1]):
        findings.file = layer.label
        _check(layer.content, content, findings)
        content = _merged(content, layer.content)
    findings.raise_if_any()
    content.pop(EXTENDS, None)
    return dataclasses.replace(document, content=content), tuple(layers)


def located(fault: Fault, layers: tuple[Document, ...]) -> Fault:
    """A fault of a file, told in the file of `layers` in which its entry stands: the first that has it."""
    deepest = max(layers, key=lambda layer: _depth(layer.content, fault.place))
    return dataclasses.replace(fault, file=deepest.label)


def _extended(top: Document, layers: list[Document], find: Callable[[str], Document]) -> Document:
    """The file that `top` extends."""
    findings, name = Findings(top.label), top.content[EXTENDS]
    if not isinstance(name, str):
        findings.add(EXTENDS, "must be the name of a model file")
        raise InputError(findings.faults)
    try:
        found = find(name)
    except InputError as error:
        for fault in error.faults:
            here = dataclasses.replace(fault, place=EXTENDS, file=top.label)
            findings.faults.append(fault if fault.file else here)
        raise InputError(findings.faults) from error
    if any(found.label == layer.label for layer in layers):
        chain = " extends ".join(layer.name for layer in [*layers, found])
        findings.add(EXTENDS, "must not lead back to a file that it started from", name, f"{chain}.")
    findings.raise_if_any()
    return found


def _check(own: Mapping[str, Any], extended: Mapping[str, Any], findings: Findings) -> None:
    """What a file that extends must say itself, and what it may not say anew."""
    for key in _OWN:
        if key not in own:
            findings.add(key, "must be given, because the file extends another")
    before, after = (tables.get("sources") for tables in (extended, own))
    if not isinstance(before, dict) or not isinstance(after, dict):
        return
    for key in before.keys() & after.keys():
        if _cited(before[key]) != _cited(after[key]):
            rule = "must be cited as in the file that is extended, or have another name"
            findings.add(f"sources.{key}", rule)


def _cited(source: Any) -> Any:
    return source.get("citation") if isinstance(source, dict) else None


def _merged(extended: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(extended)
    for key, value in own.items():
        before = found.get(key)
        merge = isinstance(before, dict) and isinstance(value, dict) and not any(k in value for k in _WHOLE)
        found[key] = _merged(before, value) if merge and isinstance(before, dict) else value
    return found


def _depth(content: Any, place: str) -> int:
    """How many steps of a place a file has."""
    depth = 0
    for quoted, plain, index in _STEP.findall(place):
        if index:
            inside = isinstance(content, list) and int(index) < len(content)
            key: Any = int(index)
        else:
            key = quoted or plain
            inside = isinstance(content, dict) and key in content
        if not inside:
            break
        content, depth = content[key], depth + 1
    return depth
