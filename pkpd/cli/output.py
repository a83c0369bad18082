"""What the commands print: tables for people, one JSON object for programs, faults for both."""

import inspect
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import Any

import typer

from pkpd.checks import Fault, Findings, InputError
from pkpd.files import plain

JSON = typer.Option(False, "--json", help="Print one JSON object and nothing else.")
VERBOSE = typer.Option(False, "--verbose", "-v", help="Progress as lines with the time.")
QUIET = typer.Option(False, "--quiet", "-q", help="No progress messages.")
PROGRESS = {"quiet": QUIET, "verbose": VERBOSE}
PICTURES = (".png", ".svg", ".pdf")
DISCLAIMER = "For research, not for treatment decisions."


def reporting(command: Callable[..., None]) -> Callable[..., None]:
    """A command that tells bad input as a list of faults, before its caller sees an exception.

    It takes `--quiet` and `--verbose`, as every command does, though it may have no progress to tell of.
    """
    signature = inspect.signature(command)
    added = {name: option for name, option in PROGRESS.items() if name not in signature.parameters}

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        with _reported("--json" in sys.argv):
            command(*args, **{name: value for name, value in kwargs.items() if name not in added})

    more = [Parameter(name, Parameter.KEYWORD_ONLY, default=o, annotation=bool) for name, o in added.items()]
    run.__dict__["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), *more])
    return run


@contextmanager
def _reported(as_json: bool) -> Iterator[None]:
    """Bad input becomes a list of faults and exit code 2; a file that fails later, a message and 1."""
    try:
        yield
    except InputError as error:
        _print_faults(error.faults, as_json)
        raise SystemExit(2) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        fault = Fault("", f"could not be used: {error.strerror}", file=str(error.filename or "a file"))
        if as_json:
            print_json({"errors": [fault.as_dict()]})
        print(fault, file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("Stopped; every file is whole or was not touched.", file=sys.stderr)
        raise SystemExit(130) from None


def _print_faults(faults: Sequence[Fault], as_json: bool) -> None:
    if as_json:
        print_json({"errors": [fault.as_dict() for fault in faults]})
        return
    for fault in faults:
        print(fault, file=sys.stderr)
    count = len(faults)
    print(f"{count} fault{'s' if count != 1 else ''}; nothing was written.", file=sys.stderr)


def check_picture(option: str, path: str, findings: Findings) -> None:
    """Whether a picture, if one is asked for, can be written at a path."""
    if path and not (Path(path).suffix.lower() in PICTURES and Path(path).absolute().parent.is_dir()):
        findings.add(option, "must be a .png, .svg or .pdf in a folder that exists", path)


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on stdout; NaN and infinity become null."""
    print(json.dumps(plain(content), ensure_ascii=False, allow_nan=False, indent=1))


@contextmanager
def progress(quiet: bool, verbose: bool = False) -> Iterator[Callable[[str, float], None]]:
    """Tells a message and the share of the work that is done: a bar on a terminal, else lines on stderr."""
    begin = time.perf_counter()

    def line(message: str, share: float) -> None:
        clock = f" {time.perf_counter() - begin:.1f} s, {share:.0%}:" if verbose else ""
        print(f"...{clock} {message}", file=sys.stderr, flush=True)

    if quiet:
        yield lambda message, share: None
    elif verbose or not sys.stderr.isatty():
        yield line
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=1.0)
            yield lambda message, share: bar.update(task, description=message, completed=share)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout, as wide as the terminal or 120 characters in a pipe."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        cells = [str(row[i]) for row in rows]
        numeric = any(cells) and all(cell[:1] in "-0123456789" for cell in cells if cell)
        grid.add_column(column, justify="right" if numeric and i else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(str(cell) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False, markup=False)
    console.print(grid)


def percent(value: float | None) -> str:
    """A probability as a percentage with one decimal."""
    return "-" if value is None else f"{100 * value:.1f}"


def number(value: float | None) -> str:
    """Three significant digits."""
    return "-" if value is None else f"{value:.3g}"
