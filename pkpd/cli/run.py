"""Commands that simulate."""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import typer

from pkpd.cli.exposures import exposures_of, print_exposures
from pkpd.cli.labelled import EXTRAS, check_suffix, write_labelled
from pkpd.cli.life import check_life, live, print_life
from pkpd.cli.output import (
    DISCLAIMER,
    JSON,
    PICTURES,
    QUIET,
    VERBOSE,
    number,
    percent,
    print_json,
    progress,
    reporting,
    table,
)
from pkpd.cli.records import predict_records


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(reporting(simulate))


class Asked(NamedTuple):
    """What the options ask of a regimen."""

    regimen: str
    patients: int
    days: float
    seed: int
    occasions: str
    draws: str
    plot: str
    out: str
    exposures: bool
    observe: bool
    error: bool
    adherence: str
    rules: str


def simulate(
    model: str,
    regimen: str = typer.Option("", help='For instance "aldesleukin 3 MIU sc q24h x28".'),
    data: str = typer.Option("", help="Event records instead of a regimen (.csv, .toml)."),
    carry: str = typer.Option("nocb", help="Covariates between records: nocb, locf or linear."),
    patients: int = typer.Option(1, help="1 is the typical patient."),
    days: float = typer.Option(0.0, help="How long to look; default the regimen and a week."),
    seed: int = typer.Option(0, help="Seed of the virtual patients and of residual errors."),
    occasions: str = typer.Option("", help='When later occasions begin, for instance "28 d, 56 d".'),
    draws: str = typer.Option("", help="A fit whose stored posterior is carried through."),
    plot: str = typer.Option("", help="Picture of the drugs' concentrations (.png, .svg, .pdf)."),
    out: str = typer.Option("", help="Time courses (.csv, .nc, .parquet)."),
    exposures: bool = typer.Option(False, "--exposures", help="AUC, Cmax ... of each drug's last interval."),
    observe: bool = typer.Option(False, "--observe", help="Add the residual errors that the model states."),
    error: bool = typer.Option(False, "--error", help="Estimate the numerical error by a second run."),
    adherence: str = typer.Option(
        "", help='How doses are taken: "taken 0.9; after missed 0.6; late 2 h; dropout 0.01 /d".'
    ),
    rules: str = typer.Option("", help="When clinics hold or reduce doses (.toml)."),
    as_json: bool = JSON,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
) -> None:
    """Simulates exposures, cells, tumour and outcomes.

    Example: pkpd simulate neuroimmunotherapy --regimen "aldesleukin 3 MIU sc q24h x28" --patients 200

    Example: pkpd simulate melatonin --data events.csv --out predictions.csv
    """
    asked = Asked(
        regimen,
        patients,
        days,
        seed,
        occasions,
        draws,
        plot,
        out,
        exposures,
        observe,
        error,
        adherence,
        rules,
    )
    if data:
        noise = seed if observe else None
        apart = {name: v for name, v in asked._asdict().items() if name not in ("out", "observe", "seed")}
        predict_records(model, data, carry, out, {**apart, "patients": patients > 1}, noise, as_json, quiet)
    else:
        _of_regimen(model, asked, as_json, quiet, verbose)


def _of_regimen(model: str, asked: Asked, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Simulates a regimen and prints or writes what it finds."""
    from pkpd.catalogue import load_model
    from pkpd.devices import configure, float64, usable_cores

    _check(asked)
    configure(cores=usable_cores(), cache=True)
    with float64():
        built = load_model(model)
        group = _group(built, asked)
        models, origin = _models(built, asked.draws)
        with progress(quiet or as_json, verbose) as say:
            lived = live(models, asked, group, origin, say)
            results = _simulate(models, lived.events, origin, group, asked, say)
        content = summarise(built, results) | lived.told
        if asked.exposures:
            content["exposures"] = exposures_of(models, asked.regimen, group)
        if as_json:
            print_json(content)
        else:
            _print(content)
        if asked.plot:
            _plot(built, asked.regimen, group, asked.plot)
        if asked.out:
            _write(results, asked.out)
    for path in (asked.plot, asked.out):
        if path and not quiet:
            typer.echo(f"wrote {path}", err=True)


def _check(asked: Asked) -> None:
    from pkpd.checks import Findings

    findings = Findings()
    if not asked.regimen:
        findings.add("--regimen", "must be given", hint="Or give event records by --data.")
    if not 1 <= asked.patients <= 1_000_000:
        findings.add("--patients", "must lie between 1 and 1,000,000", asked.patients)
    if not 0 <= asked.days <= 36_500:
        findings.add("--days", "must lie between 0 and 36,500", asked.days)
    if asked.seed < 0:
        findings.add("--seed", "must not be negative", asked.seed)
    if asked.occasions and (asked.patients == 1 or asked.exposures or asked.plot):
        rule = "must go with --patients, and without --exposures and --plot"
        findings.add("--occasions", rule, asked.occasions)
    others = [name for name in ("occasions", "exposures", "plot") if getattr(asked, name)]
    check_life(asked.adherence, asked.rules, asked.patients, [f"--{name}" for name in others], findings)
    _check_targets(asked.out, asked.plot, asked.draws, findings)
    findings.raise_if_any()


def _check_targets(out: str, plot: str, draws: str, findings: Any) -> None:
    for option, target in (("--out", out), ("--plot", plot)):
        if target and not Path(target).absolute().parent.is_dir():
            findings.add(option, "must lie in a folder that exists", target)
    if plot and Path(plot).suffix.lower() not in PICTURES:
        findings.add("--plot", f"must end in {', '.join(PICTURES)}", Path(plot).suffix)
    if plot and draws:
        findings.add("--plot", "must not go with --draws: the picture shows the model file's kinetics")
    if out:
        check_suffix(Path(out).suffix, findings)
        if draws and Path(out).suffix in EXTRAS:
            findings.add("--out", "must end in .csv with --draws", Path(out).suffix)


def _group(built: Any, asked: Asked) -> Any:
    """The virtual patients; none for the typical one."""
    from pkpd.individuals import sample_patients

    if asked.patients == 1:
        return None
    return sample_patients(built, asked.patients, asked.seed, occasions=_starts(built, asked.occasions))


def _starts(built: Any, occasions: str) -> list[float]:
    """When occasions begin, in the model's unit."""
    from pkpd.checks import Findings, InputError
    from pkpd.dosing.terms import hours

    findings, found = Findings(), [0.0]
    if occasions and not built.occasional:
        findings.add("--occasions", "must go with a model in which parameters have iov", occasions)
    for text in occasions.split(",") if occasions else ():
        try:
            found.append(hours(text.strip()) * built.units.day / 24.0)
        except InputError as error:
            findings.adopt(error, "--occasions")
    findings.raise_if_any()
    return found


def _simulate(
    models: list[Any], events: list[Any], origin: float, group: Any, asked: Asked, say: Any
) -> list[Any]:
    """One simulation of each model, of its own doses where there are such."""
    import numpy as np

    from pkpd.endpoints import survives
    from pkpd.observation import observe
    from pkpd.simulation import simulate as run_one

    built = models[0]
    day = built.units.day
    times = np.arange(0.0, asked.days * day + 1e-9, day / 4) if asked.days else None
    options = {
        "alive": [365 * day] if survives(built) else [],
        "origin": origin,
        "error": asked.error,
        "outcomes": not asked.occasions,
    }
    found = []
    for i, model in enumerate(models):
        told = f"simulating under posterior draw {i + 1} of {len(models)}" if asked.draws else "simulating"
        say(told, i / len(models))
        result = run_one(model, events[i] if events else asked.regimen, times, group, **options)
        if asked.observe:
            seen = observe(model, result.outputs, asked.seed + i)
            result = dataclasses.replace(result, outputs=seen)
        found.append(result)
    return found


def _models(built: Any, draws: str) -> tuple[list[Any], float]:
    """The model, or it under up to 100 posterior draws; and from when outcomes are timed."""
    if not draws:
        return [built], 0.0
    from pkpd.records import posterior_models

    return posterior_models(draws, built, 100)


def summarise(built: Any, results: list[Any]) -> dict[str, Any]:
    """Medians and 95 % ranges over patients (and draws); outcomes as means over patients.

    With draws, an outcome's interval is that of its mean; without, the range between patients.
    """
    import numpy as np

    units = dict(results[0].units)
    outputs = {}
    for name in results[0].outputs:
        pooled = np.concatenate([np.asarray(r.outputs[name]) for r in results], axis=1)
        low, middle, high = np.quantile(pooled, [0.025, 0.5, 0.975], axis=1)
        outputs[name] = {"unit": units.get(name, ""), "median": middle, "lo95": low, "hi95": high}
    outcomes = {}
    for name in results[0].outcomes:
        each = [np.asarray(r.outcomes[name]) for r in results]
        spread = np.array([v.mean() for v in each]) if len(each) > 1 else each[0]
        low, high = np.quantile(spread, [0.025, 0.975])
        outcomes[name] = {"mean": float(np.mean(spread)), "lo95": float(low), "hi95": float(high)}
    worst = {name: max(float(np.max(r.error[name])) for r in results) for name in results[0].error}
    return {
        "model": built.name,
        "time_unit": built.units.time,
        "times": np.asarray(results[0].times),
        "outputs": outputs,
        "outcomes": outcomes,
        **({"error": worst} if worst else {}),
    }


def _plot(built: Any, regimen: str, group: Any, path: str) -> None:
    """Concentrations at times close enough for a smooth line; the kinetics are those of the model file."""
    from pkpd.plot import plot_exposure, save
    from pkpd.plot.exposure import exposure_times
    from pkpd.simulation import simulate as run_one

    outputs = [f"{drug.name}.central" for drug in built.drugs]
    times = exposure_times(built, regimen)
    found = run_one(built, regimen, times, group, outputs=outputs, outcomes=False)
    save(plot_exposure(found, built, regimen), path)


def _write(results: list[Any], out: str) -> None:
    """A tidy CSV (one row per draw, time, patient and output) or a labelled file; whole or not at all."""
    from pkpd.files import written

    path = Path(out)
    with written(path) as part:
        if path.suffix == ".csv":
            _write_csv(results, part)
        else:
            write_labelled(results[0].to_xarray(), part, path.suffix)


def _write_csv(results: list[Any], path: Path) -> None:
    import csv

    import numpy as np

    draws = ["draw"] if len(results) > 1 else []
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*draws, "time", "time_unit", "patient", "output", "value", "unit"])
        for draw, result in enumerate(results):
            units, first = dict(result.units), [draw] if draws else []
            for name, values in result.outputs.items():
                for t, row in zip(
                    np.asarray(result.times).tolist(), np.asarray(values).tolist(), strict=True
                ):
                    common = [*first, f"{t:.10g}", result.time_unit]
                    writer.writerows([*common, i, name, repr(v), units[name]] for i, v in enumerate(row))


def _print(content: dict[str, Any]) -> None:
    rows = []
    for name, values in content["outputs"].items():
        highest, when = _highest(content, name)
        shown = f"{when:.3g} {content['time_unit']}"
        rows.append([name, values["unit"], number(highest), shown, number(float(values["median"][-1]))])
    table("Time courses (median)", ["output", "unit", "highest", "at", "last"], rows)
    print_exposures(content)
    if content["outcomes"]:
        found = content["outcomes"].items()
        rows = [[n, percent(v["mean"]), f"{percent(v['lo95'])} to {percent(v['hi95'])}"] for n, v in found]
        table("Outcomes, per cent", ["outcome", "mean", "95 % range"], rows)
    print_life(content)
    if "error" in content:
        typer.echo(_of_error(content))
    typer.echo(DISCLAIMER)


def _highest(content: dict[str, Any], name: str) -> tuple[float, float]:
    """The peak and its time: that of patients where it is known and in view, else among the times."""
    if content.get("exposures", {}).get(name, {"end": math.inf})["end"] <= content["times"][-1]:
        course = content["exposures"][name]["course"]
        return course["cmax"]["median"], course["start"] + course["tmax"]["median"]
    median = content["outputs"][name]["median"]
    return float(median.max()), float(content["times"][int(median.argmax())])


def _of_error(content: dict[str, Any]) -> str:
    """The largest estimated error of the solver, in words."""
    outputs = {name: content["error"][name] for name in content["outputs"]}
    worst = max(outputs, key=outputs.__getitem__)
    said = f"Numerical error, estimated by a finer run: at most {outputs[worst]:.1g} of {worst}"
    chances = [content["error"][name] for name in content["outcomes"]]
    return f"{said}{f', {max(chances):.1g} of any probability' if chances else ''}."
