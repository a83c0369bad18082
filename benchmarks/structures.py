"""Structures against textbooks and papers: `python -m benchmarks.structures` writes `structures.csv`.

Each case has its formula beside it, computed without this package.
"""

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.optimize import root_scalar
from scipy.special import gammainc, lambertw

from pkpd.catalogue import load_model
from pkpd.component import Component
from pkpd.devices import configure
from pkpd.files import written
from pkpd.model import Drug, wire
from pkpd.pd import (
    EffectCompartment,
    Linear,
    Myelosuppression,
    PrecursorTurnover,
    Simeoni,
    SteinFojo,
    TransitChain,
    Turnover,
)
from pkpd.pk import (
    Bolus,
    Circadian,
    ClippedCircadian,
    DualAbsorption,
    FirstOrder,
    MichaelisMenten,
    OneCompartment,
    ParallelAbsorption,
    SequentialAbsorption,
    TargetBound,
    TransitAbsorption,
    ZeroOrder,
)
from pkpd.quadrature import nodes_of
from pkpd.response import (
    Course,
    ExponentialSurvival,
    GompertzSurvival,
    LogLogisticSurvival,
    WeibullSurvival,
)
from pkpd.simulation import simulate
from pkpd.solve import ODE

TABLE = Path(__file__).parent / "structures.csv"
EXACT = ODE(rtol=1e-10, atol=1e-13, max_steps=100_000)
DOSE, V, K = 120.0, 30.0, 0.25  # pmol, L, per hour: those of the drug in most cases
CL = K * V


class Case(NamedTuple):
    """What a structure gives, what it should give to a relative `tolerance`, and who says so."""

    structure: str
    what: str
    source: str
    expected: float
    found: float
    tolerance: float = 1e-6

    @property
    def error(self) -> float:
        """Relative."""
        return abs(self.found - self.expected) / abs(self.expected)


def groups() -> Iterator[Callable[[], Iterator[Case]]]:
    """What computes the cases, some at a time."""
    yield from (absorption, elimination, effects, indirect, cells, tumours, production, survival)


def _at(
    time: float,
    output: str,
    route: Component | None = None,
    body: Component | None = None,
    parts: dict[str, Component] | None = None,
    wires: dict[str, Any] | None = None,
    regimen: str = f"drug {DOSE} pmol po",
) -> float:
    """An output at a time in hours; by default after a bolus into one compartment."""
    own = {"drug.po": route or Bolus(), "drug": body or OneCompartment(cl=CL * 24.0, v=V)} | (parts or {})
    model = wire(own, wires or {}, drugs=[Drug("drug", ("po",))])
    found = simulate(model, regimen, times=[time / 24.0], outputs=[output], solver=EXACT, outcomes=False)
    return float(found.outputs[output][0, 0])


def absorption() -> Iterator[Case]:
    """Rates of these cases are per hour; models have days."""
    t, ka, long = 3.0, 0.8, 5.0

    def bateman(t: float, ka: float = ka) -> float:
        return DOSE * ka / (V * (ka - K)) * (math.exp(-K * t) - math.exp(-ka * t))

    gibaldi = "Gibaldi M, Perrier D. Pharmacokinetics, 2nd ed. Marcel Dekker 1982, chapter 1"
    by_zero = DOSE / (long * CL) * (1.0 - math.exp(-K * t))
    yield Case(
        "FirstOrder", "level after 3 h", gibaldi, bateman(t), _at(t, "drug.central", FirstOrder(ka=ka * 24.0))
    )
    yield Case(
        "ZeroOrder",
        "level while it lasts",
        gibaldi,
        by_zero,
        _at(t, "drug.central", ZeroOrder(duration=long / 24.0)),
    )
    sequential = (
        DOSE * ka / (long * V * (ka - K)) * ((1 - math.exp(-K * t)) / K - (1 - math.exp(-ka * t)) / ka)
    )
    yield Case(
        "SequentialAbsorption",
        "level while it lasts",
        gibaldi,
        sequential,
        _at(t, "drug.central", SequentialAbsorption(ka=ka * 24.0, duration=long / 24.0)),
    )
    yield Case(
        "ParallelAbsorption",
        "level while it lasts",
        "Zhou H. J Clin Pharmacol 2003;43:211-227",
        0.3 * bateman(t) + 0.7 * by_zero,
        _at(t, "drug.central", ParallelAbsorption(ka=ka * 24.0, fraction=0.3, duration=long / 24.0)),
    )
    stages, mtt = 5, 2.0
    ktr = (stages + 1) / mtt

    def delayed(rate: float) -> float:
        """The gamma density of the transit times with an exponential after it."""
        grown = (ktr / (ktr - rate)) ** (stages + 1) * gammainc(stages + 1, (ktr - rate) * t)
        return float(math.exp(-rate * t) * grown)

    yield Case(
        "TransitAbsorption",
        "level after 3 h, six transits",
        "Savic RM, et al. J Pharmacokinet Pharmacodyn 2007;34:711-726",
        DOSE * ka / (V * (ka - K)) * (delayed(K) - delayed(ka)),
        _at(t, "drug.central", TransitAbsorption(ka=ka * 24.0, mtt=mtt / 24.0, stages=stages)),
    )
    kl, out = 0.3, 0.15
    share = kl / (ka + kl)
    dual = (1 - share) * bateman(t, ka + kl) + share * _chain(t, ka + kl, out)
    yield Case(
        "DualAbsorption",
        "level after 3 h: two ways of which one has a stage more",
        gibaldi,
        dual,
        _at(t, "drug.central", DualAbsorption(ka=ka * 24.0, kl=kl * 24.0, ktr=out * 24.0)),
    )


def _chain(t: float, first: float, second: float) -> float:
    """Level after a dose has passed two stages and reached one compartment."""
    rates = (first, second, K)
    parts = [math.exp(-r * t) / math.prod(other - r for other in rates if other != r) for r in rates]
    return DOSE * first * second / V * sum(parts)


def elimination() -> Iterator[Case]:
    t, vmax, km = 4.0, 20.0, 2.0
    saturable = {"mm": MichaelisMenten(vmax=vmax * 24.0, km=km)}
    wires = {"drug": {"clearance": "mm.clearance"}, "mm": {"c": "drug.central"}}
    start = DOSE / V
    beal = km * lambertw(start / km * np.exp((start - vmax / V * t) / km)).real
    none = OneCompartment(cl=0.0, v=V)
    found = _at(t, "drug.central", body=none, parts=dict(saturable), wires=wires)
    yield Case(
        "MichaelisMenten",
        "level after a bolus",
        "Beal SL. J Pharmacokinet Biopharm 1983;11:623-641",
        float(beal),
        found,
    )
    rate = 12.0
    steady = _at(
        999.0,
        "drug.central",
        body=none,
        parts=dict(saturable),
        wires=wires,
        regimen="drug 12000 pmol po over 1000 h",
    )
    yield Case(
        "MichaelisMenten",
        "steady level of an infusion",
        "Wagner JG. J Pharmacokinet Biopharm 1973;1:103-121",
        km * rate / (vmax - rate),
        steady,
    )
    kss, kint, kdeg, r0, cl = 0.1, 0.2, 0.05, 3.0, 0.4

    def balance(c: float) -> float:
        bound = c / (kss + c)
        complex_ = r0 * kdeg / (kdeg + (kint - kdeg) * bound) * bound
        return cl * c + kint * complex_ * V - rate

    body = TargetBound(cl=cl * 24, vc=V, q=0.0, vp=1.0, kss=kss, kint=kint * 24, kdeg=kdeg * 24, r0=r0)
    gibiansky = "Gibiansky L, et al. J Pharmacokinet Pharmacodyn 2008;35:573-591"
    found = _at(1999.0, "drug.central", body=body, regimen="drug 24000 pmol po over 2000 h")
    yield Case(
        "TargetBound",
        "steady free level of an infusion",
        gibiansky,
        root_scalar(balance, bracket=(1e-9, 1e3)).root,
        found,
    )
    found = _at(9.0, "drug.target", body=body, regimen="drug 1e7 pmol po")
    target = r0 * kdeg / kint + r0 * (1 - kdeg / kint) * math.exp(-kint * 9.0)
    yield Case("TargetBound", "target in great excess of drug", gibiansky, target, found, 1e-4)
    drift = load_model("nivolumab").components["nivolumab.drift"]
    fall = 1.0 - float(drift.output({}, {"since": jnp.asarray(1e6)})["factor"])
    yield Case(
        "TimeVarying",
        "largest fall of nivolumab's clearance, told as a mean of patients",
        "Bajaj G, et al. CPT Pharmacometrics Syst Pharmacol 2017;6:58-66 (Abstract: 24.5 %)",
        0.245,
        fall,
        0.05,
    )


def effects() -> Iterator[Case]:
    t, ke0 = 2.0, 0.6
    site = {"site": EffectCompartment(ke0=ke0 * 24.0)}
    expected = DOSE * ke0 / (V * (ke0 - K)) * (math.exp(-K * t) - math.exp(-ke0 * t))
    found = _at(t, "site.c", parts=dict(site), wires={"site": {"c": "drug.central"}})
    yield Case(
        "EffectCompartment",
        "level at the site after a bolus",
        "Sheiner LB, et al. Clin Pharmacol Ther 1979;25:358-371",
        expected,
        found,
    )
    expected = float(gammainc(4, 4 * t / 5.0)) * 0.3
    found = _constant(t, "chain.effect", {"chain": TransitChain(mtt=5.0 / 24.0, stages=4)}, "effect", 0.3)
    yield Case(
        "TransitChain",
        "rise after a step, four stages",
        "Mager DE, Jusko WJ. Clin Pharmacol Ther 2001;70:210-216",
        expected,
        found,
    )


def _constant(t: float, output: str, part: dict[str, Component], port: str, effect: float) -> float:
    """An output at a time under an effect that is constant: of a drug that stays."""
    (name,) = part
    parts = {"slope": Linear(slope=effect * V / DOSE), **part}
    wires = {"slope": {"c": "drug.central"}, name: {port: "slope.effect"}}
    return _at(t, output, body=OneCompartment(cl=0.0, v=V), parts=parts, wires=wires)


def indirect() -> Iterator[Case]:
    t, kout, base, size = 5.0, 0.3, 40.0, 0.6
    dayneka = "Dayneka NL, et al. J Pharmacokinet Biopharm 1993;21:457-478, model "

    def pool() -> dict[str, Component]:
        return {"pool": Turnover(kout=kout * 24.0, base=base)}

    for model, port, sign in (
        ("I", "stimulus", -1),
        ("II", "loss", -1),
        ("III", "stimulus", 1),
        ("IV", "loss", 1),
    ):
        change = sign * size
        if port == "stimulus":
            expected = base * (1 + change * (1 - math.exp(-kout * t)))
        else:
            expected = base / (1 + change) * (1 + change * math.exp(-kout * (1 + change) * t))
        yield Case(
            "Turnover",
            f"level {t:g} h after a step",
            dayneka + model,
            expected,
            _constant(t, "pool.level", pool(), port, change),
        )
    kp = 0.1
    fast = kp * (1 + size)
    expected = base * (1 + size * kout / (kout - fast) * (math.exp(-fast * t) - math.exp(-kout * t)))
    found = _constant(
        t, "pool.level", {"pool": PrecursorTurnover(kout=kout * 24, kp=kp * 24, base=base)}, "release", size
    )
    yield Case(
        "PrecursorTurnover",
        "level after a step of the release",
        "Sharma A, et al. J Pharm Sci 1998;87:1577-1584",
        expected,
        found,
    )


def cells() -> Iterator[Case]:
    effect, gamma = 0.2, 0.5
    marrow = {"marrow": Myelosuppression(base=5.0, mtt=90.0 / 24.0, gamma=gamma)}
    yield Case(
        "Myelosuppression",
        "steady level under a constant effect",
        "Friberg LE, et al. J Clin Oncol 2002;20:4713-4721",
        5.0 * (1 - effect) ** (1 / gamma),
        _constant(24.0 * 1500, "marrow.level", dict(marrow), "effect", effect),
    )


def tumours() -> Iterator[Case]:
    kg, ks = 0.004, 0.02
    stein = {"tumour": SteinFojo(kg=kg, ks=ks, size0=80.0)}
    expected = 80.0 * (math.exp(kg * 60) + math.exp(-ks * 60) - 1)
    found = _at(24.0 * 60, "tumour.size", parts=dict(stein))
    yield Case(
        "SteinFojo", "size after 60 days", "Stein WD, et al. Oncologist 2008;13:1046-1054", expected, found
    )
    simeoni = "Simeoni M, et al. Cancer Res 2004;64:1094-1101"
    grow, linear, w0 = 0.3, 0.8, 0.05

    def tumour(k2: float) -> dict[str, Component]:
        return {"tumour": Simeoni(lambda0=grow, lambda1=linear, k1=0.7, k2=k2, w0=w0)}

    alone = {"tumour": {"c": "drug.central"}}
    switch = math.log(linear / (grow * w0)) / grow
    expected = linear / grow + linear * (40.0 - switch)
    found = _at(24.0 * 40, "tumour.weight", parts=tumour(0.0), wires=alone)
    yield Case(
        "Simeoni",
        "untreated weight after 40 days",
        simeoni + " (its two phases; psi is finite)",
        expected,
        found,
        2e-3,
    )
    stays = OneCompartment(cl=0.0, v=V)
    found = _at(24.0 * 30, "tumour.weight", body=stays, parts=tumour(grow * V / DOSE), wires=alone)
    yield Case(
        "Simeoni", "weight at the concentration lambda0 / k2", simeoni, w0 * (1 + 3 * grow / 0.7), found, 1e-5
    )


def production() -> Iterator[Case]:
    mean, swing, peak, t = 6.0, 0.5, 4.0, 24.0 * 20 + 7.0
    clock = {"clock": Circadian(mean=mean * 24, amplitude=swing, peak=peak / 24, period=1.0)}
    wires = {"drug": {"production": "clock.rate"}, "clock": {"time": "time"}}
    turn = 2 * math.pi / 24.0
    expected = mean / CL + mean * swing / (V * math.hypot(K, turn)) * math.cos(
        turn * (t - peak) - math.atan2(turn, K)
    )
    found = _at(t, "drug.central", parts=dict(clock), wires=wires, regimen="none")
    chakraborty = "Chakraborty A, et al. J Pharmacokinet Biopharm 1999;27:23-43"
    yield Case("Circadian", "level of what is made, on day 20", chakraborty, expected, found)
    part = ClippedCircadian(top=1.0, share=0.4, peak=0.2, period=1.0)
    times = np.linspace(0.0, 1.0, 20_001)
    rate = part.output({}, {"time": jnp.asarray(times)})["rate"]
    least = math.pi * 0.4
    expected = (math.sin(least) - least * math.cos(least)) / (math.pi * (1 - math.cos(least)))
    found = float(jnp.trapezoid(jnp.asarray(rate), times))
    yield Case("ClippedCircadian", "mean rate of a day", chakraborty + " (its integral)", expected, found)


def survival() -> Iterator[Case]:
    t, scale, shape, growth = 300.0, 0.003, 1.6, 0.004
    collett = "Collett D. Modelling Survival Data in Medical Research, 3rd ed. CRC 2015, chapters 5 and 6"
    edges = np.linspace(0.0, t, 61)
    nodes = np.concatenate([edges[:1], nodes_of(edges).ravel()])
    none = {name: jnp.zeros((len(nodes), 1)) for name in ("log_ratio", "memory", "direct", "excess")}
    course = Course(edges, none, jnp.asarray(28.0))
    rows: list[tuple[Callable[..., Any], dict[str, float], float]] = [
        (ExponentialSurvival, {}, math.exp(-scale * t)),
        (WeibullSurvival, {"shape": shape}, math.exp(-((scale * t) ** shape))),
        (LogLogisticSurvival, {"shape": shape}, 1 / (1 + (scale * t) ** shape)),
        (GompertzSurvival, {"growth": growth}, math.exp(-scale / growth * math.expm1(growth * t))),
    ]
    for structure, numbers, expected in rows:
        outcome = structure(scale=scale, freeze=84.0, **numbers)
        found = float(jnp.exp(-outcome.cumulative_hazard(course)[-1, 0]))
        yield Case(structure.__name__, "alive after 300 days", collett, expected, found)


def main() -> None:
    configure(cache=True, precision="float64")
    found = [case for group in groups() for case in group()]
    with written(TABLE) as path, path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["structure", "what", "source", "expected", "found", "error", "tolerance"])
        for case in found:
            row = [f"{case.expected:.8g}", f"{case.found:.8g}", f"{case.error:.1e}", f"{case.tolerance:g}"]
            table.writerow([*case[:3], *row])
    missed = [case for case in found if not case.error <= case.tolerance]
    print(f"{len(found)} cases, {len(missed)} beyond their tolerance", *missed, sep="\n")


if __name__ == "__main__":
    main()
