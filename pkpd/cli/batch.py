"""Commands of long studies."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pkpd.cli.output import (
    DISCLAIMER,
    JSON,
    PICTURES,
    QUIET,
    VERBOSE,
    number,
    print_json,
    progress,
    reporting,
    table,
)

if TYPE_CHECKING:
    from pkpd.records.study import Study

STUDY = typer.Argument(..., metavar="STUDY.toml", help="What is done how often, to which fit.")
KEEP = typer.Option("", help="Folder of the results; default STUDY.study beside the file.")
PLOT = typer.Option("", help="Picture (.png, .svg, .pdf).")
SEAL = typer.Option(False, "--seal", help="Store what it says beside the file (checkout only).")
OUT = typer.Option("", help="File for all results (.nc, .csv, .parquet).")

MOST_MOVED = 3  # parameters that are printed of an alternative


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    batch = typer.Typer(no_args_is_help=True, help="Many fits, in chunks that outlive the process.")
    for command in (run, status, resume, collect):
        batch.command()(reporting(command))
    app.add_typer(batch, name="batch")


def run(
    study: str = STUDY,
    keep: str = KEEP,
    as_json: bool = JSON,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
) -> None:
    """Computes what is missing, a file for each chunk. Example: pkpd batch run bootstrap.toml"""
    from pkpd.devices import configure
    from pkpd.records import load_study, run_study, study_status

    configure(cache=True)
    asked = load_study(study)
    folder = _folder(asked, keep)
    with progress(quiet or as_json, verbose) as say:
        run_study(asked, folder, say)
    _tell(study_status(asked, folder) | {"folder": str(folder)}, as_json)


def resume(
    study: str = STUDY,
    keep: str = KEEP,
    as_json: bool = JSON,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
) -> None:
    """Goes on with a study that was stopped. Example: pkpd batch resume bootstrap.toml"""
    from pkpd.checks import fail
    from pkpd.records import load_study

    folder = _folder(load_study(study), keep)
    if not folder.is_dir():
        raise fail("", "must be a study that was begun", hint="pkpd batch run begins one.", file=str(folder))
    run(study, keep, as_json, quiet, verbose)


def status(study: str = STUDY, keep: str = KEEP, as_json: bool = JSON) -> None:
    """How much of a study there is. Example: pkpd batch status bootstrap.toml"""
    from pkpd.records import load_study, study_status

    asked = load_study(study)
    folder = _folder(asked, keep)
    _tell(study_status(asked, folder) | {"folder": str(folder)}, as_json)


def collect(
    study: str = STUDY,
    keep: str = KEEP,
    out: str = OUT,
    plot: str = PLOT,
    seal: bool = SEAL,
    as_json: bool = JSON,
) -> None:
    """Joins the results that there are, and says what they say. Example: pkpd batch collect bootstrap.toml"""
    from pkpd.cli.labelled import write_labelled
    from pkpd.files import written
    from pkpd.records import check_sealable, collect_study, load_study, seal_study

    asked = load_study(study)
    folder = _folder(asked, keep)
    _check_targets(out, plot)
    if seal:
        check_sealable(asked, folder)
    found, told = collect_study(asked, folder)
    if as_json:
        print_json(told)
    else:
        PRINTED[asked.kind](asked, told)
    if out:
        with written(Path(out)) as part:
            write_labelled(found, part, Path(out).suffix)
    if plot:
        from pkpd.plot import save
        from pkpd.plot.studies import study_picture

        typer.echo(f"wrote {save(study_picture(asked, found, told), plot)}", err=True)
    if seal:
        typer.echo(f"wrote {seal_study(asked, found, told)}", err=True)


def _check_targets(out: str, plot: str) -> None:
    from pkpd.checks import Findings
    from pkpd.cli.labelled import check_suffix

    findings = Findings()
    if out:
        check_suffix(Path(out).suffix, findings)
    if plot and Path(plot).suffix not in PICTURES:
        findings.add("--plot", f"must end in {', '.join(PICTURES)}", Path(plot).suffix)
    findings.raise_if_any()


def _folder(study: "Study", keep: str) -> Path:
    return Path(keep) if keep else study.path.with_suffix(".study")


def _tell(state: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return print_json(state)
    chunks = f"{state['done']} of {state['chunks']} chunks"
    return typer.echo(f"{state['folder']}: {state['items_done']} of {state['items']} items, {chunks}")


def _print_calibration(study: "Study", told: dict[str, Any]) -> None:
    typer.echo(
        f"{study.title or study.path.stem}: {told['items']} of {study.items} data sets of {told['fit']}"
    )
    typer.echo(f"{told['converged']} converged\n")
    title = "Ranks of the truth, and how often central intervals of 50 and 95 % hold it"
    _print_ranks(title, told)
    if "weighed" in told:
        sets = told["weighed"]["sets"]
        _print_ranks(
            f"The same by importance weights, in the {sets} data sets where they can be trusted",
            told["weighed"],
        )
    typer.echo(DISCLAIMER)


def _print_ranks(title: str, told: dict[str, Any]) -> None:
    shares = ("held50", "held95")
    rows = [
        [row["quantity"], "yes" if row["uniform"] else "NO", *(f"{row[key]:.2f}" for key in shares)]
        for row in told["quantities"]
    ]
    table(title, ["quantity", "uniform", "in 50 %", "in 95 %"], rows)
    typer.echo(told["words"] + "\n")


def _print_bootstrap(study: "Study", told: dict[str, Any]) -> None:
    _print_head(study, told)
    rows = [
        [
            row["parameter"],
            row["unit"],
            number(row["mode"]),
            _span(row["ci95"]),
            _span(row["posterior_ci95"]),
            f"{row['sd']:.2f}",
            f"{row['posterior_sd']:.2f}",
        ]
        for row in told["parameters"]
    ]
    columns = ["parameter", "unit", "mode", "replicates' 95 %", "posterior 95 %", "SD", "posterior SD"]
    table("Parameters; standard deviations in those of the prior, where that is normal", columns, rows)
    typer.echo(f"{told['words']}\n{DISCLAIMER}")


def _print_influence(study: "Study", told: dict[str, Any]) -> None:
    _print_head(study, told)
    rows = [[row["alternative"], _moved(row["shifts"])] for row in told["alternatives"]]
    title = "The mode's shift from that of the fit, in posterior standard deviations, where most"
    table(title, ["evidence or prior", "shift"], rows)
    typer.echo(f"{told['words']}\n{DISCLAIMER}")


def _print_starts(study: "Study", told: dict[str, Any]) -> None:
    _print_head(study, told)
    rows = [[f"{end['below']:.3f}", str(end["starts"])] for end in told["ends"]]
    table("Where climbs that converged ended", ["below the mode", "starts"], rows)
    typer.echo(f"{told['words']}\n{DISCLAIMER}")


def _moved(shifts: dict[str, float]) -> str:
    return ", ".join(f"{name} {shift:+.2f}" for name, shift in [*shifts.items()][:MOST_MOVED]) or "-"


def _print_head(study: "Study", told: dict[str, Any]) -> None:
    typer.echo(f"{study.title or study.path.stem}: {told['items']} of {study.items} items of {told['fit']}")
    typer.echo(", ".join(f"{count} {status}" for status, count in told["statuses"].items() if count) + "\n")


def _span(ends: list[float]) -> str:
    return f"{number(ends[0])} to {number(ends[1])}"


PRINTED = {
    "bootstrap": _print_bootstrap,
    "calibration": _print_calibration,
    "influence": _print_influence,
    "starts": _print_starts,
}
