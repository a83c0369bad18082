"""The command line: `pkpd COMMAND`."""

import typer

from pkpd.cli import catalogue, estimate, output, run

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=f"Dosing models fitted to the outcomes that trial arms report. {output.DISCLAIMER}",
)
for module in (catalogue, run, estimate):
    module.register(app)


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    """Options that need no command."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"pkpd {installed('pkpd')}")
        raise typer.Exit


def main() -> None:
    """Runs the command line; exit 0 done, 1 the computation failed, 2 bad input."""
    app()
