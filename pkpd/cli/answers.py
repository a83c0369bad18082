"""Commands that look at a stored fit."""

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

FITS = typer.Argument(..., metavar="FIT...", help="Stored fits.")
PARAMETERS = typer.Argument([], metavar="[PARAM]...", help="Default: all of the model's.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(reporting(answers))
    app.command()(reporting(predict))
    app.command()(reporting(profile))


def answers(
    fits: list[str] = FITS,
    as_json: bool = JSON,
) -> None:
    """Stored answers side by side: outcomes, parameters, and what the choice between them moves.

    Example: pkpd answers lissoni1995/joint lissoni1995/protocol
    """
    from pkpd.devices import configure, float64
    from pkpd.records import beside
    from pkpd.records.beside import in_words

    configure(cache=True)
    with float64():
        found = beside(fits)
    if as_json:
        return print_json(found)
    names = list(found["fits"])
    for name, fit in found["fits"].items():
        typer.echo(f"{name}: {fit['title']}")
    rows = [[*_fact(row), *(_said(row, name) for name in names)] for row in found["outcomes"]]
    title = "Posterior mean and 95 % (* not fitted); probabilities in per cent"
    table(f"\n{title}", ["study", "arm", "endpoint", "observed", *_short(names)], rows)
    rows = [[p["parameter"], p["unit"], *(_span(p, name) for name in names)] for p in found["parameters"]]
    table("Parameters: mode, 95 % and contraction", ["parameter", "unit", *_short(names)], rows)
    for words in in_words(found["moved"]):
        typer.echo(f"Against {names[0]}, {words}.")
    typer.echo(DISCLAIMER)
    return None


def _short(names: list[str]) -> list[str]:
    """Names of fits without their folders, where that tells them apart."""
    short = [name.rpartition("/")[2] for name in names]
    return short if len(set(short)) == len(names) else names


def _fact(row: dict[str, Any]) -> list[object]:
    """Study, arm, endpoint and what was observed."""
    observed = "-" if row["value"] is None else (percent if row["probability"] else number)(row["value"])
    if row["events"] is not None:
        observed = f"{row['events']}/{row['n']} = {percent(row['events'] / row['n'])}"
    return [row["study"], row["arm"], row["endpoint"], observed]


def _said(row: dict[str, Any], name: str) -> str:
    """What a fit says of an outcome."""
    if name not in row["fits"]:
        return "-"
    one, told = row["fits"][name], number if row["probability"] is False else percent
    return f"{told(one['mean'])} ({told(one['lo95'])} to {told(one['hi95'])}){'' if one['weight'] else ' *'}"


def _span(parameter: dict[str, Any], name: str) -> str:
    """What a fit says of a parameter."""
    if name not in parameter["fits"]:
        return "-"
    one = parameter["fits"][name]
    low, high = map(number, one["ci95"])
    return f"{number(one['value'])} ({low} to {high}), {one['contraction']:.2f}"


def predict(
    fit: str = typer.Argument(..., metavar="FIT", help="A stored fit."),
    arms: str = typer.Option(..., help="Arms that the fit has not seen (.csv)."),
    draws: int = typer.Option(500, min=10, help="Draws of the posterior."),
    seed: int = typer.Option(0, min=0, help="Seed of new studies and of randomised PIT."),
    as_json: bool = JSON,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
) -> None:
    """Predicts arms, and scores the prediction where counts are known.

    Example: pkpd predict lissoni1995/joint --arms new_arms.csv
    """
    from pkpd.devices import configure
    from pkpd.records import predict_arms

    configure(cache=True)
    with progress(quiet or as_json, verbose) as say:
        say("predicting", 0.0)
        found = predict_arms(fit, arms, draws, seed)
    if as_json:
        return print_json(found)
    columns = ["study", "arm", "endpoint", "observed", "mean", "50 %", "95 %", "log score", "baseline"]
    title = "Predicted, per cent of an arm's patients (intervals hold the counts of a trial of this size)"
    counted, reported = ([r for r in found["rows"] if ("value" in r) == told] for told in (False, True))
    if counted:
        table(title, columns, [_row(row) for row in counted])
    if reported:
        title = "Reports (intervals of what is expected, without the report's own sampling error)"
        table(title, columns[:7], [_report(row) for row in reported])
    for row in found["rows"]:
        if row["fitted"]:
            told = f"{row['study']}, {row['arm']}, {row['endpoint']}"
            typer.echo(f"Not scored: {told}. The fit knows its patients: {', '.join(row['fitted'])}.")
    typer.echo(f"{_summary(found['summary'])}\n{DISCLAIMER}")
    return None


def _report(row: dict[str, Any]) -> list[object]:
    spans = [f"{number(row[f'lo{level}'])} to {number(row[f'hi{level}'])}" for level in ("50", "95")]
    return [row["study"], row["arm"], row["endpoint"], number(row["value"]), number(row["mean"]), *spans]


def _row(row: dict[str, Any]) -> list[object]:
    observed = (
        "-" if row["events"] is None else f"{row['events']}/{row['n']} = " + percent(row["events"] / row["n"])
    )
    spans = [f"{percent(row[f'lo{level}'])} to {percent(row[f'hi{level}'])}" for level in ("50", "95")]
    scores = [
        "-" if row["fitted"] or row[key] is None else f"{row[key]:.2f}"
        for key in ("log_score", "baseline_log_score")
    ]
    return [row["study"], row["arm"], row["endpoint"], observed, percent(row["mean"]), *spans, *scores]


def _summary(summary: dict[str, Any]) -> str:
    if not summary["rows"]:
        return "No counts were given, so nothing is scored."
    gap = summary["difference_ci95"]
    span = (
        f"95 % {gap[0]:.2f} to {gap[1]:.2f} over studies"
        if gap
        else "one study: no interval, and no preference"
    )
    return (
        f"Mean log score {summary['log_score']:.2f} over {summary['rows']} counts, "
        f"{summary['difference']:+.2f} against a beta-binomial model without doses ({span}). "
        f"{summary['covered50']:.0%} of the counts lie in their 50 % interval, "
        f"{summary['covered95']:.0%} in their 95 % interval."
    )


def profile(
    fit: str = typer.Argument(..., metavar="FIT", help="A stored fit."),
    parameters: list[str] = PARAMETERS,
    plot: str = typer.Option("", help="Picture (.png, .svg, .pdf)."),
    as_json: bool = JSON,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
) -> None:
    """Profiles of posterior and likelihood of a stored fit.

    Example: pkpd profile lissoni1995/joint survival.scale tumour.kkill --plot profile.png
    """
    from pkpd.checks import Findings
    from pkpd.devices import configure
    from pkpd.records import profiles

    findings = Findings()
    check_picture("--plot", plot, findings)
    findings.raise_if_any()
    configure(cache=True)
    with progress(quiet or as_json, verbose) as say:
        found = profiles(fit, parameters, say)
    if as_json:
        print_json(found)
    else:
        columns = ["parameter", "unit", "mode", "likelihood's 95 %", "posterior's fall of 1.92"]
        rows = [_profile(name, one) for name, one in found["profiles"].items()]
        table("Profiles (none: no bound within the places looked at)", columns, rows)
        typer.echo(DISCLAIMER)
    if plot:
        from pkpd.plot import plot_profile, save

        typer.echo(f"wrote {save(plot_profile(found['profiles']), plot)}", err=True)
    lost = [n for n, one in found["profiles"].items() if not _found(one)]
    if lost:
        typer.echo(f"No maximum was found at some places of {', '.join(lost)}.", err=True)
        raise typer.Exit(1)


def _found(one: dict[str, Any]) -> bool:
    return one["posterior"]["found"] and one["likelihood"]["found"]


def _profile(name: str, one: dict[str, Any]) -> list[object]:
    spans = [_interval(*one[key]["ci95"]) for key in ("likelihood", "posterior")]
    return [name, one["unit"], number(one["value"]), *spans]


def _interval(low: float | None, high: float | None) -> str:
    """An interval, an end of which may be missing."""
    if low is None and high is None:
        return "none"
    if low is None or high is None:
        return f"below {number(high)}" if low is None else f"above {number(low)}"
    return f"{number(low)} to {number(high)}"
