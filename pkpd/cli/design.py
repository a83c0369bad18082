"""The command that asks which next trial would teach most."""

from collections.abc import Sequence
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

CANDIDATES = typer.Option(
    [], "--candidate", metavar='NAME="..."', help='"REGIMEN | REGIMEN; n = 40; endpoints = ...", several.'
)
ABOUT = typer.Option(
    [], "--about", help='A parameter, "OUTCOME: REGIMEN" or "OUTCOME: REGIMEN - REGIMEN"; the first ranks.'
)
SHOWN = 0.05  # contraction of a parameter that is worth a line


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(reporting(design))


def design(
    fit: str = typer.Argument(..., metavar="FIT", help="A stored fit."),
    candidate: list[str] = CANDIDATES,
    about: list[str] = ABOUT,
    precision: str = typer.Option(
        "", help='"QUANTITY = SD": how many patients leave this standard deviation.'
    ),
    draws: int = typer.Option(500, min=20, help="Draws of the posterior."),
    seed: int = typer.Option(0, min=0, help="Seed of data that are drawn and of how new studies deviate."),
    plot: str = typer.Option("", help="Picture (.png, .svg, .pdf)."),
    as_json: bool = JSON,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
) -> None:
    """Which next trial would teach most: candidates ranked by expected information gain.

    Example: pkpd design lissoni1995/joint --candidate more="treated | control; n = 40; endpoints = cr"
    """
    from pkpd.devices import configure
    from pkpd.explore.design import design as ask

    pairs = _check(candidate, plot)
    configure(cache=True)
    with progress(quiet or as_json, verbose) as say:
        found = ask(fit, pairs, about=about, precision=precision, draws=draws, seed=seed, say=say)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if plot:
        from pkpd.plot import plot_design, save

        typer.echo(f"wrote {save(plot_design(found), plot)}", err=True)


def _check(candidates: Sequence[str], plot: str) -> list[tuple[str, str]]:
    """The candidates by name, of which one may stand twice."""
    from pkpd.checks import Findings

    findings, found = Findings(), []
    if not candidates:
        findings.add(
            "--candidate", "must be given", hint='For instance next="treated; n = 40; endpoints = cr".'
        )
    for text in candidates:
        name, equals, rest = text.partition("=")
        if not equals or ";" in name or not name.strip():
            findings.add("--candidate", 'must be NAME="REGIMEN; n = ...; endpoints = ..."', text)
        else:
            found.append((name.strip(), rest))
    check_picture("--plot", plot, findings)
    findings.raise_if_any()
    return found


def _print(found: dict[str, Any]) -> None:
    candidates = found["candidates"]
    rows = [
        _arm(one["name"] if i == 0 else "", arm) for one in candidates for i, arm in enumerate(one["arms"])
    ]
    table(
        "Candidates (probabilities that are expected, per cent)",
        ["candidate", "regimen", "n", "expected"],
        rows,
    )
    rows = [_gain(one) for one in candidates]
    columns = ["candidate", "gain", "bounds", "at the mode, normal", "behind the first"]
    title = f"Expected information gain about all parameters, in nats (ranked by {found['ranked_by']})"
    table(title, columns, rows)
    if found["quantities"]:
        rows = [_about(one, told) for told in found["quantities"] for one in candidates]
        title = "About quantities (contraction: expected share of the variance that goes)"
        table(title, ["quantity", "candidate", "gain", "contraction", "SD now", "SD then"], _once(rows))
    _print_contractions(candidates)
    if "precision" in found:
        wanted = found["precision"]
        title = f"Patients in the first arm for SD {number(wanted['sd'])} of {wanted['quantity']}"
        table(title, ["candidate", "n", "SD then"], [_patients(one) for one in candidates])
    for line in found["words"]:
        typer.echo(line)
    for one in candidates:
        for remark in one["remarks"]:
            typer.echo(f"{one['name']}: {remark}.")
    typer.echo(DISCLAIMER)


def _arm(name: str, arm: dict[str, Any]) -> list[object]:
    expected = ", ".join(f"{endpoint} {percent(p)}" for endpoint, p in arm["expected"].items())
    return [name, arm["regimen"], arm["n"], expected]


def _with_error(value: float, error: float) -> str:
    return f"{value:.3f} ({error:.3f})"


def _gain(one: dict[str, Any]) -> list[object]:
    behind = one["behind"]
    return [
        one["name"],
        _with_error(one["eig"], one["mcse"]),
        f"{one['lower']:.3f} to {one['upper']:.3f}",
        f"{one['laplace']:.3f}",
        _with_error(behind["gain"], behind["mcse"]) if behind["gain"] else "first",
    ]


def _about(one: dict[str, Any], told: dict[str, Any]) -> list[object]:
    mine = next(a for a in one["about"] if a["quantity"] == told["quantity"])
    return [
        told["quantity"],
        one["name"],
        _with_error(mine["gain"], mine["mcse"]),
        _with_error(mine["contraction"], mine["contraction_mcse"]),
        number(told["sd"]),
        number(mine["sd"]),
    ]


def _once(rows: list[list[object]]) -> list[list[object]]:
    """Rows whose first cell is empty where it is that of the row above."""
    first = [row[0] for row in rows]
    return [["" if i and first[i - 1] == row[0] else row[0], *row[1:]] for i, row in enumerate(rows)]


def _print_contractions(candidates: Sequence[dict[str, Any]]) -> None:
    """Of parameters that some candidate tells of."""
    names = [
        name
        for name in candidates[0]["contraction"]
        if max(one["contraction"][name] for one in candidates) >= SHOWN
    ]
    rows = [[name, *(f"{one['contraction'][name]:.2f}" for one in candidates)] for name in names]
    title = f"Expected contraction of parameters, where one is at least {SHOWN:g}"
    table(title, ["parameter", *(one["name"] for one in candidates)], rows)


def _patients(one: dict[str, Any]) -> list[object]:
    told = one["patients"]
    n = "more than can be counted" if told["n"] is None else told["n"]
    return [one["name"], n, number(told["sd"])]
