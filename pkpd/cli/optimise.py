"""The command that finds the best schedule."""

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from pkpd.explore.optimise import Asked
    from pkpd.explore.setting import Setting

NAME = typer.Argument(..., metavar="MODEL|FIT", help="A fit, whose posterior is used, or a model.")
REGIMEN = typer.Option(..., help="The base, of which parts vary.")
VARY = typer.Option([], help='"DRUG.amount 1..9 MIU step 1"; also amounts, interval, doses, days, start, at.')
LIMITS = typer.Option([], help='"QUANTITY <= VALUE UNIT", such as "aldesleukin.total <= 84 MIU"; also >=.')
MOST_SHOWN = 12  # rows of a front that are printed


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(reporting(optimise))


def optimise(
    name: str = NAME,
    regimen: str = REGIMEN,
    vary: list[str] = VARY,
    maximise: str = typer.Option("", help="An outcome, for instance regression or alive(365 d)."),
    target: str = typer.Option("", help='Instead: "melatonin.auc = 80 ng*h/mL", by one amount or interval.'),
    subject_to: list[str] = LIMITS,
    quantile: float | None = typer.Option(None, help="Maximise this quantile of the posterior."),
    exceed: float | None = typer.Option(None, help="Maximise the probability of more than this."),
    no_caps: bool = typer.Option(False, "--no-caps", help="Leave out the caps that model files state."),
    patients: int = typer.Option(128, help="Virtual patients; for a target 1 is the typical one."),
    draws: int = typer.Option(100, help="Draws of the posterior in the search; the answer uses all."),
    starts: int = typer.Option(3, help="Starts of the search."),
    pareto: str = typer.Option("", help="Quantity against which the best value is shown."),
    alone: bool = typer.Option(False, "--alone", help="Without fits that choose otherwise."),
    levels: int = typer.Option(0, help="Levels of it at which the best schedule is sought; 0: those tried."),
    seed: int = typer.Option(0, help="Seed of virtual patients and starts."),
    plot: str = typer.Option("", help="Picture of the front (.png, .svg, .pdf)."),
    surface: str = typer.Option("", help="Picture over the first two variables, with the evidence."),
    as_json: bool = JSON,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
) -> None:
    """Finds the best schedule under limits, under the posterior.

    Example: pkpd optimise lissoni1995/joint --regimen "aldesleukin 3 MIU sc q24h x28 + melatonin 40 mg po
    q24h x28" --vary "aldesleukin.amount 0.5..18 MIU step 0.5" --maximise "alive(365 d)"

    Example: pkpd optimise melatonin --regimen "melatonin 40 mg po q24h x7" --patients 1
    --vary "melatonin.amount 1..100 mg" --target "melatonin.auc = 80 ng*h/mL"
    """
    from pkpd.devices import configure, float64
    from pkpd.explore.optimise import Asked

    numbers = {"--patients": (patients, 100_000), "--draws": (draws, 10_000), "--starts": (starts, 100)}
    numbers |= {"--levels": (levels + 1, 101), "--seed": (seed + 1, 2**31)}
    _check(numbers, bool(maximise), bool(target), {"--plot": plot, "--surface": surface})
    configure(cache=True)
    limits = tuple(subject_to)
    asked = Asked(regimen, tuple(vary), maximise, limits, quantile, exceed, pareto, levels, bool(surface))
    with float64(), progress(quiet or as_json, verbose) as say:
        setting, caps = _setting(name, asked, patients, seed, not no_caps)
        if target:
            found = _aimed(setting, asked, target, caps)
        else:
            found = _found(setting, asked, caps, (draws, starts, seed), say)
            if setting.fitted and not alone:
                found |= _elsewhere(name, found, say)
    if as_json:
        print_json(found)
    else:
        _print_target(found) if target else _print(found)
    _draw(found, plot, surface)
    if found["status"] != "converged":
        typer.echo("The search did not converge: more --starts may find a better schedule.", err=True)
        raise typer.Exit(1)


def _draw(found: dict[str, Any], plot: str, surface: str) -> None:
    from pkpd.plot import plot_pareto, plot_surface, save

    for path, draw in ((plot, plot_pareto), (surface, plot_surface)):
        if path:
            typer.echo(f"wrote {save(draw(found), path)}", err=True)


def _check(
    numbers: dict[str, tuple[int, int]], maximise: bool, target: bool, pictures: dict[str, str]
) -> None:
    from pkpd.checks import Findings

    findings = Findings()
    if maximise == target:
        findings.add("--maximise", "must be given, or --target, and not both")
    for option, (value, most) in numbers.items():
        if not 1 <= value <= most:
            least = 1 if option in ("--patients", "--draws", "--starts") else 0
            findings.add(option, f"must lie between {least} and {most - 1 + least:,}", value - 1 + least)
    for option, path in pictures.items():
        if path and target:
            findings.add(option, "must not go with --target")
        check_picture(option, path, findings)
    findings.raise_if_any()


def _setting(
    name: str, asked: "Asked", patients: int, seed: int, capped: bool
) -> tuple["Setting", list[Any]]:
    """Where schedules are judged, and the caps of what varies."""
    from pkpd.explore.limits import caps_of
    from pkpd.explore.setting import setting_of

    setting = setting_of(name, patients, seed)
    drugs = [text.partition(".")[0].strip() for text in asked.vary]
    return setting, caps_of(setting.card, setting.problem.model, drugs) if capped else []


def _aimed(setting: "Setting", asked: "Asked", text: str, caps: list[Any]) -> dict[str, Any]:
    from pkpd.explore.target import read_target, solve_target

    model = setting.problem.model
    aim = read_target(model, asked.regimen, asked.vary, text, asked.limits, caps)
    return solve_target(model, aim, setting.problem.patients)


def _found(
    setting: "Setting", asked: "Asked", caps: list[Any], numbers: tuple[int, int, int], say: Any
) -> dict[str, Any]:
    from pkpd.explore.optimise import chances_for, read_question
    from pkpd.explore.optimise import optimise as best
    from pkpd.explore.search import Settings

    draws, starts, seed = numbers
    problem, points = setting.problem, setting.points
    question = read_question(problem, asked, min(draws, len(points)), caps)
    chances = chances_for(problem, points, question, draws)
    return best(chances, points, question, Settings(starts, seed=seed), say, asked.levels, asked.surface)


def _elsewhere(fit: str, found: dict[str, Any], say: Any) -> dict[str, Any]:
    """What the best gains under fits that choose otherwise."""
    from pkpd.explore.comparison import gain_elsewhere

    base, outcome = found["base"]["regimen"], found["objective"]["outcome"]
    return gain_elsewhere(fit, found["regimen"], base, outcome, found["gain"]["mean"], say)


def _print_target(found: dict[str, Any]) -> None:
    typer.echo(found["regimen"])
    who = "the typical patient" if found["patients"] == 1 else f"the median of {found['patients']} patients"
    told = f"{found['quantity']} {found['value']:.7g} {found['unit']}, wanted {found['target']:g}, in {who}."
    typer.echo(told)
    _print_limits(found["constraints"])
    typer.echo(DISCLAIMER)


def _print(found: dict[str, Any]) -> None:
    if found["headline"]:
        typer.echo(f"{found['headline']}\n")
    typer.echo(f"Best: {found['regimen']}")
    goal, base = found["objective"], found["base"]
    typer.echo(f"{goal['outcome']}, {goal['what']}, per cent: {_spread(found)}; base: {_spread(base)}.")
    if found["draws"] > 1:
        gain = f"{percent(found['gain']['mean'])}{_range(found['gain'])}"
        typer.echo(f"Gain over the base {gain}; better in {found['better']:.0%} of {found['draws']} draws.")
    rows = [_varied(name, one, found["units"][name]) for name, one in found["varied"].items()]
    table("What varies", ["variable", "best", "unit", "within 1 % of the best", "edge of its range"], rows)
    _print_limits(found["constraints"])
    _print_standing(found)
    rows = [
        [number(row["at"]), f"{percent(row['value'])}", row["regimen"]] for row in _thinned(found["pareto"])
    ]
    if rows:
        against = found["pareto"][0]
        columns = [f"{against['quantity']} ({against['unit']})", "value, %", "regimen"]
        table("Front: no schedule that was tried has more of the one for less of the other", columns, rows)
    typer.echo(DISCLAIMER)


def _thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most some of the rows, evenly, with the first and the last."""
    if len(rows) <= MOST_SHOWN:
        return rows
    return [rows[round(i * (len(rows) - 1) / (MOST_SHOWN - 1))] for i in range(MOST_SHOWN)]


def _spread(one: dict[str, Any]) -> str:
    return f"{percent(one['value'])}{_range(one)}"


def _range(one: dict[str, Any]) -> str:
    return "" if one["lo95"] is None else f" (95 % {percent(one['lo95'])} to {percent(one['hi95'])})"


def _varied(name: str, one: dict[str, Any], unit: str) -> list[object]:
    value = one["value"]
    shown = ", ".join(map(number, value)) if isinstance(value, list) else number(value)
    low, high = map(number, one["flat"])
    span = f"{low} to {high}{' times all' if one['factor'] else ''}"
    return [name, shown, unit, span, "yes" if one["edge"] else ""]


def _print_limits(constraints: list[dict[str, Any]]) -> None:
    rows = [
        [c["limit"], number(c["value"]), "binds" if c["binds"] else "", c.get("source", "")[:60]]
        for c in constraints
    ]
    if rows:
        table("Limits", ["limit", "value", "", "cap stated by"], rows)


def _print_standing(found: dict[str, Any]) -> None:
    evidence = found["evidence"]
    if evidence["arms"]:
        out = [name for name, row in evidence["amounts"].items() if not row["inside"]]
        inside = "lie within" if not out else f"go beyond (in {', '.join(out)})"
        typer.echo(f"Amounts {inside} those of the {evidence['arms']} arms of the evidence.")
    for line in _other_fits(found):
        typer.echo(line)
    if found["decided_by"]:
        told = ", ".join(f"{d['parameter']} ({d['correlation']:+.2f})" for d in found["decided_by"])
        typer.echo(f"The gain goes together most with {told} (correlation over draws).")
    ends = ", ".join(percent(end) for end in found["starts"])
    typer.echo(f"{found['tried']} schedules tried; starts ended at {ends} per cent.")


def _other_fits(found: dict[str, Any]) -> list[str]:
    """What fits say that choose otherwise what the evidence leaves open."""
    told = []
    if gains := found.get("alternatives"):
        ends = dict.fromkeys(percent(end) for end in (min(gains.values()), max(gains.values())))
        words = "Under fits that choose otherwise what the evidence leaves open the gain is"
        told.append(f"{words} {' to '.join(ends)}: {', '.join(gains)}.")
    if found.get("undetermined"):
        told.append("Undetermined: they do not agree that the best is better than the base.")
    if left := found.get("unanswered"):
        told.append(f"Not answered, so not among them: {', '.join(left)} (pkpd fit FIT --seal).")
    return told
