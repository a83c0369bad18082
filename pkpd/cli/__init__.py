"""The command line: `pkpd COMMAND`."""

import importlib.util
import sys
from pathlib import Path

import typer

from pkpd.checks import fail
from pkpd.cli import answers, batch, catalogue, compare, design, estimate, optimise, output, run

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=f"Dosing models fitted to the outcomes that trial arms report. {output.DISCLAIMER}",
)
STRUCTURES = typer.Option([], metavar="FILE.py", help="Your own structures in Python; the file is run.")
for module in (catalogue, run, estimate, answers, compare, design, optimise, batch):
    module.register(app)


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
    structures: list[str] = STRUCTURES,
) -> None:
    """Options that stand before the command."""
    for path in structures:
        output.reporting(run_file)(path)
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"pkpd {installed('pkpd')}")
        raise typer.Exit


def run_file(path: str) -> None:
    """Runs a user's Python file, after which model files find its classes by name."""
    file = Path(path)
    if file.suffix != ".py" or not file.is_file():
        raise fail("--structures", "must be a Python file (.py) that exists", path)
    name = f"structures_of_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        raise fail("--structures", "must run without an error", path, f"{told}.") from error


def main() -> None:
    """Runs the command line; exit 0 done, 1 the computation failed, 2 bad input."""
    if "--json" not in sys.argv:
        app()
        return
    try:
        code = app(standalone_mode=False)
    except Exception as error:  # typer has no public name for wrong usage
        told = getattr(error, "format_message", None)
        if told is None:
            raise
        fault = fail("command line", "must be one that pkpd knows", hint=told()).faults[0]
        output.print_json({"errors": [fault.as_dict()]})
        raise SystemExit(2) from None
    raise SystemExit(code)
