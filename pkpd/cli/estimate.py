"""Commands that fit."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pkpd.cli.output import (
    DISCLAIMER,
    JSON,
    QUIET,
    VERBOSE,
    number,
    percent,
    print_json,
    progress,
    reporting,
    table,
)

if TYPE_CHECKING:
    from pkpd.checks import Findings


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(reporting(fit))


def fit(
    question: str = typer.Argument(..., metavar="FIT", help="A stored fit, or the path of a question."),
    plot: str = typer.Option("", help="Folder for the pictures."),
    out: str = typer.Option("", help="File for the answer (.json)."),
    seal: bool = typer.Option(False, "--seal", help="Replace the stored answer (checkout only)."),
    quick: bool = typer.Option(False, "--quick", help="Stop at the mode and the normal approximation."),
    keep: str = typer.Option("", help="Folder in which sampling is kept, to go on where it stopped."),
    cores: int = typer.Option(0, help="Devices for the chains; default one for each chain."),
    as_json: bool = JSON,
    quiet: bool = QUIET,
    verbose: bool = VERBOSE,
) -> None:
    """Fits a question to its evidence. Example: pkpd fit lissoni1995/joint"""
    from pkpd.devices import configure, float64
    from pkpd.records import answer_of, load_question, resolve, write_answer
    from pkpd.records import seal as seal_answer
    from pkpd.store import Store

    asked = load_question(question)
    _check_targets(asked, plot, out, seal, quick, keep)
    configure(cores=cores or asked.settings.chains, cache=True)
    with float64(), progress(quiet or as_json, verbose) as say:
        resolved = resolve(asked)
        from pkpd.infer.fit import fit_problem

        store = Store(Path(keep) / resolved.digest[:16]) if keep else None
        found = fit_problem(resolved.problem, asked.settings, resolved.others, quick, say, store)
    answer = answer_of(asked, resolved, found)
    with float64():
        if as_json:
            print_json(answer)
        else:
            _print(asked, found, quick)
        sys.stdout.flush()  # told before anything that can fail is written or drawn
        if out and found.status == "converged":
            write_answer(Path(out), answer, found)
        if seal and found.status == "converged":
            seal_answer(asked, answer, found)
        if plot:
            _plot(found, Path(plot))
    if found.status != "converged":
        advice = dict.fromkeys(ADVICE[name] for name, met in found.checks.items() if not met)
        typer.echo(f"{found.status}. {' '.join(advice)} No answer was written.", err=True)
        raise typer.Exit(1)


SEARCH = "The mode was not found: look at the starts (--plot), and at what a flat direction would mean."
SAMPLE = "More warm-up or more draws ([estimator]) may help; a parameter with many divergences says where."
ADVICE = {
    "gradient": SEARCH,
    "hessian_positive": SEARCH,
    "starts_agree": SEARCH,
    "patient_noise": "More virtual patients are needed ([patients] count).",
    "rhat": SAMPLE,
    "ess_bulk": SAMPLE,
    "divergent": SAMPLE,
    "emulator": "The emulator must learn from more examples ([estimator] emulate).",
}


def _check_targets(asked: Any, plot: str, out: str, seal: bool, quick: bool, keep: str) -> None:
    from pkpd.checks import Findings

    findings = Findings()
    if out and not out.endswith(".json"):
        findings.add("--out", "must end in .json", out)
    if out and not Path(out).absolute().parent.is_dir():
        findings.add("--out", "must lie in a folder that exists", out)
    elif out and not _writable(Path(out).absolute().parent):
        findings.add("--out", "must lie in a folder that can be written", out)
    _check_folders({"--plot": plot, "--keep": keep}, findings)
    for option, why in (
        (keep, "--keep: a quick look does not sample"),
        (seal, "--seal: a quick look is no answer"),
    ):
        if quick and option:
            findings.add("--quick", f"must not go with {why}")
    if seal and "_data" in asked.path.parts:
        findings.add("--seal", "must be used in a checkout: stored answers belong to the release")
    elif seal and not _writable(asked.path.parent):
        findings.add("--seal", "must be used in a checkout that can be written", str(asked.path.parent))
    findings.raise_if_any()


def _check_folders(folders: Mapping[str, str], findings: "Findings") -> None:
    for option, folder in folders.items():
        if folder and not _writable(Path(folder)):
            findings.add(option, "must be a folder that can be written", folder)


def _writable(folder: Path) -> bool:
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return existing.is_dir() and os.access(existing, os.W_OK)


def _plot(found: Any, folder: Path) -> None:
    from pkpd.plot.gallery import fit_pictures

    folder.mkdir(parents=True, exist_ok=True)
    for path in fit_pictures(found, folder):
        typer.echo(f"wrote {path}", err=True)


def _print(asked: Any, found: Any, quick: bool) -> None:
    from pkpd.arms import remarks_of

    typer.echo(f"{asked.name}: {asked.title}\nstatus: {found.status}, {found.seconds:.0f} s\n")
    rows = [[*_named(row, found.arms), *_arm(row)] for row in found.arms]
    columns = [
        *_named({"study": "study"}, found.arms),
        "arm",
        "endpoint",
        "observed",
        "exact 95 %",
        "at the mode",
        "posterior mean",
        "95 %",
    ]
    table(
        "Observed and predicted, per cent (reproduction of the fitted counts, not validation)", columns, rows
    )
    if found.predictions:
        rows = [_prediction(row) for row in found.predictions]
        table("Not fitted, per cent", ["arm", "endpoint", "posterior mean", "95 %", "note"], rows)
    rows = [_estimate(name, e) for name, e in found.estimates.items()]
    columns = ["parameter", "unit", "mode", "95 %", "prior SD", "posterior SD", "contraction"]
    table(
        "Parameters (contraction: share of the prior's variance that is gone, where it is normal)",
        columns,
        rows,
    )
    typer.echo("What the data say:")
    remarks = [f"of the evidence: {remark}" for remark in remarks_of(asked.arms)]
    for line in [*found.words, *(f"direction: {d}" for d in found.directions), *remarks]:
        typer.echo(f"- {line}")
    typer.echo(f"\n{quality(found, quick)}\n{DISCLAIMER}")


def _named(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[object]:
    """The study of a row, where there are several."""
    return [row["study"]] if len({each["study"] for each in rows}) > 1 else []


def _arm(row: dict[str, Any]) -> list[object]:
    from pkpd.likelihood.counts import clopper_pearson

    observed, exact = "-", "-"
    if "value" in row:
        return _reported(row)
    if row["events"] is not None:
        low, high = clopper_pearson(row["events"], row["n"])
        observed = f"{row['events']}/{row['n']} = {percent(row['events'] / row['n'])}"
        exact = f"{percent(float(low))} to {percent(float(high))}"
    return [
        row["arm"],
        row["endpoint"],
        observed,
        exact,
        percent(row["predicted"]),
        percent(row["posterior_mean"]),
        f"{percent(row['lo95'])} to {percent(row['hi95'])}",
    ]


def _reported(row: dict[str, Any]) -> list[object]:
    """A number that is no count, as a percentage where it is a probability."""
    told = percent if row["probability"] else number
    spread = "-" if row["se"] is None else f"SE {told(row['se'])}"
    values = [told(row[key]) for key in ("value", "predicted", "posterior_mean")]
    span = f"{told(row['lo95'])} to {told(row['hi95'])}"
    return [row["arm"], row["endpoint"], values[0], spread, *values[1:], span]


def _prediction(row: dict[str, Any]) -> list[object]:
    span = f"{percent(row['lo95'])} to {percent(row['hi95'])}"
    return [row["arm"], row["endpoint"], percent(row["posterior_mean"]), span, row["note"]]


def _estimate(name: str, e: dict[str, Any]) -> list[object]:
    span = f"{number(e['ci95'][0])} to {number(e['ci95'][1])}"
    spread = [number(e["prior_sd"]), number(e["posterior_sd"])]
    return [name, e["unit"], number(e["value"]), span, *spread, f"{e['contraction']:.2f}"]


def quality(found: Any, quick: bool) -> str:
    """Whether a fit can be trusted, in a few sentences."""
    from pkpd.infer.crowd import SCRAMBLES
    from pkpd.infer.laplace import TRUSTED

    d = found.diagnostics
    count = len(found.starts["log_density"])
    starts = f"{d['starts_agree']} of {count} starts agree; gradient {found.gradient:.1e}"
    patients = d["patients"]
    noise = "twice the virtual patients, or as many others, change a probability by up to "
    noise += (
        f"{patients['probability']:.4f} and an estimate by up to {patients['estimate']:.3f} posterior SD "
    )
    noise += f"(log density at the mode over {SCRAMBLES} sets of patients: SD {patients['noise']:.3f})"
    if quick:
        how = "weighed by importance" if d["pareto_k"] < TRUSTED else "as it is, because its weights fail"
        look = f"the normal approximation, {how} (Pareto k {d['pareto_k']:.2f}, limit {TRUSTED:g})"
        return f"A quick look by {look}, not the answer. {starts}; {noise}."
    helped = ""
    if "emulator" in d:
        e = d["emulator"]
        helped = (
            f"The sampler moved on an emulator that learnt from {e['examples']} examples (half of its log "
            f"likelihoods within {e['error']:.2f}, Pareto k {e['pareto_k']:.2f}, limit {TRUSTED:g}); "
            f"the model accepted {e['accepted']:.0%} of its proposals. "
        )
    where = f" ({d['divergent_where']})" if d["divergent_where"] else ""
    return (
        f"{helped}R-hat {d['rhat_max']:.3f}, effective sample size {d['ess_bulk_min']:.0f} "
        f"(tail {d['ess_tail_min']:.0f}), divergent {d['divergent']:.1%}{where}, "
        f"{d['steps_mean']:.1f} leapfrog steps per draw. {starts}; {noise}. "
        f"The normal approximation would be off by {d['laplace_gap']:.2f} SD (Pareto k {d['pareto_k']:.2f})."
    )
