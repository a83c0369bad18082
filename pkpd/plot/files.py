"""Pictures as files."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from pkpd.checks import Findings, did_you_mean, fail
from pkpd.files import written

METADATA: dict[str, dict[str, None]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def save(figure: Figure, path: str | Path, dpi: float = 200.0) -> Path:
    """Writes a figure as PNG, SVG or PDF, whole or not at all, and returns the path.

    The same figure gives the same bytes.
    Raises `InputError` where the ending is another one, or the folder is missing or closed to us.
    """
    path = Path(path)
    ending = path.suffix.lstrip(".").lower()
    _check(path, ending)
    try:
        with (
            written(path) as part,
            part.open("xb") as file,
            mpl.rc_context({"svg.hashsalt": "pkpd"}),
        ):
            figure.savefig(file, format=ending, dpi=dpi, metadata=METADATA[ending])
    except OSError as error:
        raise fail(
            "", "must be a file that can be written", hint=f"{error.strerror}.", file=str(path)
        ) from error
    return path


def _check(path: Path, ending: str) -> None:
    findings = Findings(str(path))
    if ending not in METADATA:
        findings.add("", "must end in .png, .svg or .pdf", path.suffix, did_you_mean(ending, METADATA))
    if not path.parent.is_dir():
        findings.add("", "must be in a folder that exists", str(path.parent))
    elif path.is_dir():
        findings.add("", "must be a file, not a folder")
    findings.raise_if_any()
