"""Aldesleukin with scipy alone: the derived numbers of `models/aldesleukin.toml` and its facts, recomputed.

    depot' = -ka depot                     lymph' = ka depot - ktr lymph
    A'     = ktr lymph + rate - (cl + q) C + q P/vp - loss
    P'     = q (C - P/vp)                  C = A/vc
    R'     = kout (base (1 + gain H) - R)
    quasi-steady state: H = C/(kss + C),  loss = kint R H
    full binding:       X' = kon C (R - X) - (koff + kint) X,  H = X/R,  loss = kon C (R - X) - koff X

R is the *total* receptor of the pool, free and occupied, and C the *free* drug: setting X' = 0 gives
X = R C/(kss + C) with kss = (koff + kint)/kon, which is the occupancy and kint X the clearance of the
model file. What quasi-steady state leaves out is the drug that the complex holds (X/vc against C) and
the time 1/(kon C + koff + kint), a quarter of an hour, in which the complex follows.

Time in h, amounts in pmol, volumes in L. Run `python -m tests.references.derive_aldesleukin`.

References: Gibiansky L, et al. J Pharmacokinet Pharmacodyn 2008;35:573-591.
"""

import math
import re
import tomllib
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

MODEL = Path(__file__).parents[2] / "models" / "aldesleukin.toml"
KON, KOFF = 0.036, 0.36  # /(pM h) and /h: 1e7 /M/s and 1e-4 /s
STEP = 0.05  # h between the samples of a course


class Numbers(NamedTuple):
    """The parameters of the model file in h, pmol and L."""

    ka: float
    ktr: float
    bioav: float
    tlag: float
    cl: float
    vc: float
    q: float
    vp: float
    kint: float
    kss: float
    gain: float
    kout: float
    base: float
    pmol_per_iu: float
    bsa: float
    wt: float


class Dose(NamedTuple):
    """One administration: `amount` in pmol, `duration` 0 for a bolus or an injection."""

    time: float
    amount: float
    route: str
    duration: float = 0.0


class Course(NamedTuple):
    """A simulated course on a fine grid (arrays of one length)."""

    time: np.ndarray
    conc: np.ndarray
    occupancy: np.ndarray
    pool: np.ndarray


@lru_cache(maxsize=1)
def read_model() -> dict[str, Any]:
    """The model file as it stands."""
    return tomllib.loads(MODEL.read_text(encoding="utf-8"))


def file_numbers() -> Numbers:
    """The file's parameters, converted."""
    model = read_model()
    per_h = {"1/h": 1.0, "1/day": 1 / 24, "min": 1 / 60}
    sc, parts, drug = model["routes"]["sc"], model["components"], model["drug"]

    def number(table: dict[str, Any]) -> float:
        return float(table["value"]) * per_h.get(table["unit"], 1.0)

    return Numbers(
        **{name: number(sc[name]) for name in ("ka", "ktr", "bioav", "tlag")},
        **{name: number(model["pk"][name]) for name in ("cl", "vc", "q", "vp")},
        **{name: number(parts["receptor"][name]) for name in ("kint", "kss")},
        **{name: number(parts["pool"][name]) for name in ("kout", "base")},
        gain=number(parts["drive"]["gain"]),
        pmol_per_iu=1e9 / (drug["potency"]["value"] * 1e6 * drug["molar_mass"]["value"]),
        bsa=number(model["covariates"]["bsa"]),
        wt=number(model["covariates"]["wt"]),
    )


def simulate(numbers: Numbers, doses: Sequence[Dose], until: float, binding: bool = False) -> Course:
    """Integrate from dose to dose; `binding` replaces quasi-steady state by full binding kinetics."""
    p = numbers
    given = [d._replace(time=d.time + p.tlag) if d.route == "sc" else d for d in doses]
    ends = [d.time + d.duration for d in given]
    edges = sorted({0.0, until, *(t for t in [*(d.time for d in given), *ends] if t < until)})
    y = np.array([0.0, 0.0, 0.0, 0.0, p.base, 0.0])
    times, states = [], []
    for start, stop in pairwise(edges):
        y[0] += p.bioav * sum(d.amount for d in given if d.route == "sc" and d.time == start)
        y[2] += sum(d.amount for d in given if d.route == "iv" and not d.duration and d.time == start)
        rate = sum(
            d.amount / d.duration for d in given if d.duration and d.time <= start < d.time + d.duration
        )
        grid = np.linspace(start, stop, max(3, math.ceil((stop - start) / STEP) + 1))
        right = _right_hand_side(p, rate, binding)
        solution = solve_ivp(right, (start, stop), y, "LSODA", grid, rtol=1e-8, atol=1e-9)
        y = solution.y[:, -1].copy()
        times.append(grid)
        states.append(solution.y)
    x = np.hstack(states)
    conc = x[2] / p.vc
    return Course(np.concatenate(times), conc, x[5] / x[4] if binding else conc / (p.kss + conc), x[4])


def _right_hand_side(p: Numbers, rate: float, binding: bool) -> Callable[[float, np.ndarray], list[float]]:
    def right(_: float, y: np.ndarray) -> list[float]:
        depot, lymph, central, peripheral, pool, held = y
        conc = central / p.vc
        bound = KON * conc * (pool - held) - KOFF * held
        occupancy = held / pool if binding else conc / (p.kss + conc)
        loss = bound if binding else p.kint * pool * occupancy
        back = p.q * (conc - peripheral / p.vp)
        return [
            -p.ka * depot,
            p.ka * depot - p.ktr * lymph,
            p.ktr * lymph + rate - p.cl * conc - back - loss,
            back,
            p.kout * (p.base * (1 + p.gain * occupancy) - pool),
            (bound - p.kint * held) if binding else 0.0,
        ]

    return right


_PART = re.compile(
    r"aldesleukin (?P<amount>[\d.]+) (?P<unit>\S+) (?P<route>sc|iv)(?: over (?P<over>[\d.]+) h)?"
    r"(?: q(?P<every>[\d.]+)h x(?P<count>\d+))?"
)


def read_regimen(text: str, numbers: Numbers) -> list[Dose]:
    """The regimens of the facts: parts `DRUG AMOUNT UNIT ROUTE [over .. h] [q..h x..]` joined by `then`."""
    doses, start = [], 0.0
    for part in text.split(" then "):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f'Argument `text` must be parts of a known form, but is "{part}".')
        unit, _, per = match["unit"].partition("/")
        unit_pmol = {"MIU": 1e6 * numbers.pmol_per_iu, "ug": 1e6 / _molar_mass()}[unit]
        amount = float(match["amount"]) * unit_pmol * {"": 1.0, "m2": numbers.bsa, "kg": numbers.wt}[per]
        count, every = int(match["count"] or 1), float(match["every"] or 0)
        over = float(match["over"] or 0)
        doses += [Dose(start + i * every, amount, match["route"], over) for i in range(count)]
        start += count * every
    return doses


def _molar_mass() -> float:
    return float(read_model()["drug"]["molar_mass"]["value"])


def window(course: Course, begin: float, end: float) -> Course:
    """The part of a course between two times."""
    inside = (course.time >= begin - 1e-9) & (course.time <= end + 1e-9)
    return Course(*(values[inside] for values in course))


def quantity(name: str, course: Course) -> float:
    """A quantity of a course in h, pM and pM h."""
    t, c = course.time, course.conc
    if name == "thalf":
        return math.log(2) / -float(np.polyfit(t, np.log(c), 1)[0])
    area = float(np.trapezoid(c, t))
    average = area / float(t[-1] - t[0])
    return {"cmax": c.max(), "tmax": t[c.argmax()], "auc": area, "cavg": average, "css": average}[name]


def evaluate(fact: dict[str, Any], numbers: Numbers) -> float:
    """What the model says of one `[[reproduces]]` or `[[misses]]` table, in the fact's unit."""

    def hours(key: str) -> float:
        value, unit = fact[key].split()
        return float(value) * {"h": 1.0, "d": 24.0}[unit]

    until = hours("until")
    course = simulate(numbers, read_regimen(fact["regimen"], numbers), until)
    begin = hours("from") if "from" in fact else 0.0
    native = quantity(fact["quantity"], window(course, begin, until))
    per_ml = 1 / (1e3 * numbers.pmol_per_iu)
    return native * {"h": 1.0, "min": 60.0, "pmol/L": 1.0, "IU/mL": per_ml, "IU*h/mL": per_ml}[fact["unit"]]


def limits(fact: dict[str, Any]) -> tuple[float, float]:
    """The interval in which a fact counts as reproduced."""
    low, high = fact.get("range") or [fact["value"] * (1 + sign * fact["rtol"]) for sign in (-1, 1)]
    return float(low), float(high)


def holds(fact: dict[str, Any], value: float) -> bool:
    """Whether the model's value lies within the fact's limits."""
    low, high = limits(fact)
    return low <= value <= high


def daily(numbers: Numbers, miu: float, days: int, binding: bool = False) -> list[Course]:
    """A subcutaneous dose every 24 h, one course per day."""
    doses = [Dose(24.0 * i, miu * 1e6 * numbers.pmol_per_iu, "sc") for i in range(days)]
    course = simulate(numbers, doses, 24.0 * days, binding)
    return [window(course, 24.0 * i, 24.0 * (i + 1)) for i in range(days)]


def mean_occupancy(day: Course) -> float:
    """The time average of the occupancy over one day."""
    return float(np.trapezoid(day.occupancy, day.time)) / 24.0


def exchange(cl: float, vc: float, fast_min: float = 12.9, slow_min: float = 85.0) -> tuple[float, float]:
    """`(q, vp)` of the two-compartment model with the given half-lives (Konrad 1990)."""
    alpha, beta = (60 * math.log(2) / half for half in (fast_min, slow_min))
    k10 = cl / vc
    k21 = alpha * beta / k10
    k12 = alpha + beta - k10 - k21
    return k12 * vc, k12 * vc / k21


def derive_pool(numbers: Numbers, level: float = 12.0, old_base: float = 25.0, old_kd: float = 10.0) -> float:
    """Receptors for the total clearance that `old_base` had with `old_kd` in place of kss at `level` (pM)."""
    return old_base * (numbers.kss + level) / (old_kd + level)


def derive_gain(numbers: Numbers, fold: float = 4.5) -> float:
    """The gain whose pool would settle at `fold` at the mean occupancy of the first day of 3 MIU."""

    def excess(gain: float) -> float:
        return 1 + gain * mean_occupancy(daily(numbers._replace(gain=gain), 3.0, 1)[0]) - fold

    root: Any = brentq(excess, 5.0, 200.0, xtol=1e-2)
    return float(root)


def compare_binding(numbers: Numbers, miu: float, days: int = 28) -> list[dict[str, float]]:
    """Quasi-steady state relative to full binding on the first and the last day of daily injections."""
    pairs = zip(daily(numbers, miu, days), daily(numbers, miu, days, binding=True), strict=True)
    rows = []
    for day, (quick, full) in enumerate(pairs, start=1):
        if day not in (1, days):
            continue
        scale = float(full.conc.max())
        high = full.conc > 0.1 * scale
        rows.append(
            {
                "day": day,
                "auc": quantity("auc", quick) / quantity("auc", full) - 1,
                "cmax": quantity("cmax", quick) / quantity("cmax", full) - 1,
                "conc": float(np.abs(quick.conc - full.conc).max()) / scale,
                "conc_relative": float(np.abs(quick.conc[high] / full.conc[high] - 1).max()),
                "occupancy": mean_occupancy(quick) / mean_occupancy(full) - 1,
                "occupancy_scaled": float(
                    np.abs(quick.occupancy - full.occupancy).max() / full.occupancy.max()
                ),
                "pool": float(quick.pool[-1] / full.pool[-1]) - 1,
            }
        )
    return rows


def print_derivation(numbers: Numbers) -> None:
    """The derived parameters beside those of the file."""
    q, vp = exchange(numbers.cl, numbers.vc)
    print(f"q, vp from Konrad's half-lives   {q:.3f} L/h, {vp:.3f} L     file {numbers.q}, {numbers.vp}")
    upper = exchange(numbers.cl, 7.0)
    print(f"  with vc = 7 L                  {upper[0]:.2f} L/h, {upper[1]:.2f} L")
    print(f"kss = (koff + kint)/kon          {(KOFF + numbers.kint) / KON:.1f} pM      file {numbers.kss}")
    print(f"pool for 19.1 L/h at 12 pM       {derive_pool(numbers):.1f} pmol    file {numbers.base}")
    most = (25.2 - numbers.cl) * (numbers.kss + 12) / numbers.kint
    print(f"pool for 25.2 L/h at 12 pM       {most:.0f} pmol")
    print(f"gain for a 4.5-fold pool         {derive_gain(numbers):.1f}          file {numbers.gain}")
    print("\nabsorption (15 MIU s.c.): Tmax and half-life over (ka, ktr)")
    for ka in (0.4, 0.6, 0.9):
        for ktr in (0.175, 0.22, 0.28):
            near = numbers._replace(ka=ka, ktr=ktr)
            course = simulate(near, read_regimen("aldesleukin 15 MIU sc", near), 24.0)
            half = quantity("thalf", window(course, 10, 20))
            print(
                f"  ka {ka:.2f} ktr {ktr:.3f}: Tmax {quantity('tmax', course):.2f} h, half-life {half:.2f} h"
            )


def print_consequences(numbers: Numbers) -> None:
    """3 MIU daily for 28 days over the explored ranges of the pool and of its gain."""
    print("\n3 MIU s.c. q24h: CL/F (L/h) on days 1, 8, 28; Cmax (pM); AUC ratio and pool on day 28")
    amount = 3e6 * numbers.pmol_per_iu
    usual = (numbers.base, numbers.gain)
    choices = [
        usual,
        *((usual[0], gain) for gain in (0.0, 14.0, 130.0)),
        *((base, usual[1]) for base in (50.0, 340.0)),
    ]
    for base, gain in choices:
        days = daily(numbers._replace(base=base, gain=gain), 3.0, 28)
        area = [quantity("auc", day) for day in days]
        clearance = "  ".join(f"{amount / area[i]:5.1f}" for i in (0, 7, 27))
        peaks = f"{quantity('cmax', days[0]):.1f} -> {quantity('cmax', days[27]):.1f}"
        last = f"{area[27] / area[0]:.3f} | {days[27].pool[-1] / base:.2f}"
        print(f"  base {base:3.0f} gain {gain:3.0f}: {clearance} | {peaks} | {last}")


def print_facts(numbers: Numbers) -> None:
    """Every fact of the file with the model's value."""
    model = read_model()
    for table in ("reproduces", "misses"):
        print(f"\n{table}")
        for fact in model[table]:
            value = evaluate(fact, numbers)
            low, high = limits(fact)
            verdict = "inside" if holds(fact, value) else "OUTSIDE"
            label = f"{fact['quantity']:5s} {fact['regimen'][:44]:44s}"
            print(
                f"  {fact['source']:15s} {label} {value:9.3g} v {fact['value']:7.3g} "
                f"[{low:.3g}, {high:.3g}] {fact['unit']:8s} {verdict:7s} {fact.get('kind', '')}"
            )


def print_binding(numbers: Numbers) -> None:
    """Quasi-steady state against full binding kinetics."""
    print("\nquasi-steady state relative to full binding kinetics")
    for miu in (3.0, 18.0):
        for row in compare_binding(numbers, miu):
            day = int(row.pop("day"))
            print(f"  {miu:4.0f} MIU day {day:2d}: " + "  ".join(f"{k} {v:+.4f}" for k, v in row.items()))


if __name__ == "__main__":
    print_derivation(file_numbers())
    print_consequences(file_numbers())
    print_binding(file_numbers())
    print_facts(file_numbers())
