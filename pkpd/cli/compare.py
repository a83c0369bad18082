"""The command that holds schedules side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from pkpd.cli.output import (
    DISCLAIMER,
    JSON,
    QUIET,
    VERBOSE,
    check_picture,
    number,
    percent,
    print_json,
    progress,
    reporting,
    table,
)

REGIMENS = typer.Option([], "--regimen", metavar='NAME="..."', help="A schedule; give several.")
OUTCOMES = typer.Option(
    [], "--outcome", help="For instance regression, cr, alive(180 d). Default: the main ones."
)
BESIDE = typer.Option(
    [], "--beside", metavar="FIT", help="Fits that choose otherwise. Default: the question's."
)
MARK = "?"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(reporting(compare))


def compare(
    fit: str = typer.Argument(..., metavar="FIT", help="A stored fit."),
    regimen: list[str] = REGIMENS,
    outcome: list[str] = OUTCOMES,
    against: str = typer.Option("", help="The schedule from which others differ. Default: the first."),
    draws: int = typer.Option(500, min=20, help="Draws of the posterior."),
    beside: list[str] = BESIDE,
    alone: bool = typer.Option(False, "--alone", help="Without fits that choose otherwise."),
    new_study: bool = typer.Option(False, "--new-study", help="Of a new study, as much as studies differ."),
    seed: int = typer.Option(0, min=0, help="Seed of how new studies deviate."),
    plot: str = typer.Option("", help="Picture (.png, .svg, .pdf)."),
    as_json: bool = JSON,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
) -> None:
    """Schedules side by side under a posterior, with paired differences.

    Example: pkpd compare lissoni1995/joint --regimen a=treated --regimen il2="aldesleukin 3 MIU sc q24h x28"
    """
    from pkpd.devices import configure
    from pkpd.explore.comparison import compare as ask

    schedules = _check(regimen, plot, alone, beside)
    configure(cache=True)
    others = [] if alone else (beside or None)
    with progress(quiet or as_json, verbose) as say:
        found = ask(
            fit,
            schedules,
            outcomes=outcome,
            against=against,
            draws=draws,
            others=others,
            new_study=new_study,
            seed=seed,
            say=say,
        )
    if as_json:
        print_json(found)
    else:
        _print(found)
    if plot:
        from pkpd.plot import plot_schedules, save

        typer.echo(f"wrote {save(plot_schedules(found), plot)}", err=True)


def _check(regimens: Sequence[str], plot: str, alone: bool, beside: Sequence[str]) -> dict[str, str]:
    """Schedules by name."""
    from pkpd.checks import Findings

    findings, found = Findings(), {}
    for told in regimens:
        name, mark, text = told.partition("=")
        if not mark or not text.strip():
            findings.add("--regimen", 'must be NAME="REGIMEN"', told)
        elif name.strip() in found:
            findings.add("--regimen", "must give each name once", name.strip())
        else:
            found[name.strip()] = text.strip()
    if not regimens:
        findings.add("--regimen", "must be given")
    check_picture("--plot", plot, findings)
    if alone and beside:
        findings.add("--alone", "must not go with --beside")
    findings.raise_if_any()
    return found


def _print(found: Mapping[str, Any]) -> None:
    schedules = found["schedules"]
    for name, one in schedules.items():
        typer.echo(f"{name}: {one['regimen']}")
        typer.echo(f"  {_evidence(one['flag'])}; {_given(one['given'])}.")
    outcomes = list(next(iter(schedules.values()))["outcomes"])
    rows = [[name, *(_chance(one["outcomes"][o]) for o in outcomes)] for name, one in schedules.items()]
    table("\nProbabilities, per cent: posterior mean (95 %)", ["schedule", *outcomes], rows)
    rows = [
        [name, *(percent(one["outcomes"][o]["best"]) for o in outcomes)] for name, one in schedules.items()
    ]
    if len(schedules) > 1:
        table("Highest of all, per cent of draws", ["schedule", *outcomes], rows)
    if found["differences"]:
        columns = ["schedule", "against", "outcome", "difference", "higher", "prior-driven", "other fits"]
        rows = [_difference(row) for row in found["differences"]]
        table("Paired differences, percentage points (95 %)", columns, rows)
    table("Exposure of the typical patient over the course: median (95 %)", *_exposures(schedules))
    for line in _remarks(found):
        typer.echo(line)
    typer.echo(DISCLAIMER)


def _evidence(flag: Mapping[str, Any]) -> str:
    from pkpd.explore.reach import KINDS

    return f"{KINDS[flag['kind']]}: {flag['words']}"


def _given(given: Mapping[str, Any]) -> str:
    amounts = [
        f"{drug} {number(amount)} {unit}"
        for drug, mine in given["drugs"].items()
        for unit, amount in mine["amount"].items()
    ]
    days = f"{given['dose_days']} dose days of {number(given['days'])}"
    return f"in all {', '.join(amounts) or 'nothing'}, {given['injections']} injections, {days}"


def _chance(one: Mapping[str, Any]) -> str:
    span = f"{percent(one['mean'])} ({percent(one['lo95'])} to {percent(one['hi95'])})"
    return f"{span}{MARK if one['undetermined'] else ''}"


def _difference(row: Mapping[str, Any]) -> list[str]:
    span = f"{100 * row['mean']:+.1f} ({100 * row['lo95']:+.1f} to {100 * row['hi95']:+.1f})"
    means = [100 * v for v in row["alternatives"].values()]
    others = f"{min(means):+.1f} to {max(means):+.1f}" if means else "-"
    mark = MARK if row["undetermined"] else ""
    share = f"{row['prior_driven']:.0%}"
    return [
        row["schedule"],
        row["against"],
        row["outcome"],
        span + mark,
        f"{row['p_higher']:.0%}",
        share,
        others,
    ]


def _exposures(schedules: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    first = next(iter(schedules.values()))["exposures"]
    columns = [f"{drug} {q}, {e['unit']}" for drug, metrics in first.items() for q, e in metrics.items()]
    rows = [
        [name, *(_exposure(e) for metrics in one["exposures"].values() for e in metrics.values())]
        for name, one in schedules.items()
    ]
    return ["schedule", *columns], rows


def _exposure(e: Mapping[str, float]) -> str:
    return f"{number(e['median'])} ({number(e['lo95'])} to {number(e['hi95'])})" if e["hi95"] else "0"


def _remarks(found: Mapping[str, Any]) -> list[str]:
    told = []
    marked = [row for row in found["differences"] if row["undetermined"]]
    levels = [o for one in found["schedules"].values() for o in one["outcomes"].values() if o["undetermined"]]
    if marked or levels:
        told.append(
            f"{MARK} undetermined: fits that choose otherwise what the evidence leaves open disagree, about "
            "the sign of a difference or about a probability by more than half of this fit's draws do."
        )
    if found["alternatives"]:
        told.append(f"Other fits: {', '.join(found['alternatives'])}.")
    if found["unanswered"]:
        told.append(
            f"Not answered, so not beside them: {', '.join(found['unanswered'])} (pkpd fit FIT --seal)."
        )
    return told
