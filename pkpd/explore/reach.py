"""How far a schedule lies from the evidence of a fit, and what of an answer its priors decide."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pkpd.explore.schedules import Exposed
from pkpd.infer.mode import Mode

NEAR = 1.25  # as exposed as an arm: at most so many times more or less

KINDS = {
    "observed": "as an arm of the evidence",
    "between": "between exposures of the evidence",
    "combination": "a set of drugs that no arm of the evidence has",
    "beyond": "beyond every exposure of the evidence",
}


class Reach(NamedTuple):
    """The kind of extrapolation (a key of `KINDS`), the arm whose exposures are the nearest, the area of each
    drug as a multiple of that arm's (infinite where it has none), and a sentence."""

    kind: str
    nearest: str
    ratios: dict[str, float]
    words: str

    def as_dict(self) -> dict[str, object]:
        """In plain JSON."""
        return self._asdict()


def reach_of(
    areas: Mapping[str, float],
    length: float,
    arms: Mapping[str, Mapping[str, float]],
    lengths: Mapping[str, float],
) -> Reach:
    """Where a schedule's areas by drug and its length lie among those of the evidence's arms.

    Areas are zero where a drug is not given. Evidence at zero and at one dose makes all between them an
    interpolation in name only, which the sentence says.
    """
    far = {name: _distance(areas, length, arm, lengths[name]) for name, arm in arms.items()}
    nearest = min(far, key=lambda name: (far[name], name))
    ratios = {drug: _ratio(area, arms[nearest].get(drug, 0.0)) for drug, area in areas.items()}
    kind = _kind(areas, far[nearest], arms)
    return Reach(kind, nearest, ratios, _words(kind, nearest, ratios, areas, arms))


def _ratio(area: float, other: float) -> float:
    if area == other:
        return 1.0
    return area / other if other > 0.0 else np.inf


def _distance(areas: Mapping[str, float], length: float, arm: Mapping[str, float], long: float) -> float:
    """The largest of all drugs' log ratios, and of that of the lengths."""
    pairs = [(areas.get(drug, 0.0), arm.get(drug, 0.0)) for drug in {*areas, *arm}]
    pairs += [(length, long)]
    if any((a > 0.0) != (b > 0.0) for a, b in pairs):
        return np.inf
    return max((abs(np.log(a / b)) for a, b in pairs if a > 0.0), default=0.0)


def _kind(areas: Mapping[str, float], nearest: float, arms: Mapping[str, Mapping[str, float]]) -> str:
    if nearest <= np.log(NEAR):
        return "observed"
    if any(area > NEAR * max(arm.get(drug, 0.0) for arm in arms.values()) for drug, area in areas.items()):
        return "beyond"
    given = {drug for drug, area in areas.items() if area > 0.0}
    known = [{drug for drug, area in arm.items() if area > 0.0} for arm in arms.values()]
    return "between" if given in known else "combination"


def _words(
    kind: str,
    nearest: str,
    ratios: Mapping[str, float],
    areas: Mapping[str, float],
    arms: Mapping[str, Mapping[str, float]],
) -> str:
    if kind == "observed":
        return f"exposed as {nearest} is"
    if kind == "combination":
        given = " with ".join(drug for drug, area in areas.items() if area > 0.0)
        return f"none has {given} and nothing else, so the model's structure decides"
    told = [
        f"{drug} {ratio:.2g} times" for drug, ratio in ratios.items() if np.isfinite(ratio) and ratio != 1.0
    ]
    levels = {drug: len({round(arm.get(drug, 0.0), 9) for arm in arms.values()}) for drug in areas}
    few = [drug for drug, count in levels.items() if count < 3 and areas[drug] > 0.0]
    near = f"{', '.join(told)} the area of {nearest}" if told else f"the areas of {nearest} over another time"
    alone = f"; of {' and '.join(few)} the evidence has no second exposure" if few else ""
    return f"{near}{alone}"


def areas_of(exposed: Mapping[str, Mapping[str, Exposed]], place: int) -> dict[str, float]:
    """The median area of each drug in the course at a place."""
    return {drug: float(np.median(metrics["auc"].values[:, place])) for drug, metrics in exposed.items()}


def prior_driven(
    mode: Mode, draws: Float[np.ndarray, "draws params"], values: Float[np.ndarray, " draws"]
) -> float:
    """The share of the variance of `values` over draws that does not follow what the data inform.

    What the data inform are the directions in which the likelihood is sharper than the prior at the mode
    (an eigenvalue of its Hessian, on the prior's standard normal scale, above 1); the share is one less the
    R-squared of the values on the draws' coordinates along them.
    """
    curvature, directions = np.linalg.eigh(mode.hessian - np.eye(len(mode.point)))
    informed = draws @ directions[:, curvature > 1.0]
    spread = values - values.mean()
    if not np.ptp(values):
        return 0.0
    columns = np.column_stack([informed - informed.mean(axis=0), np.ones(len(values))])
    rest = spread - columns @ np.linalg.lstsq(columns, spread, rcond=None)[0]
    return float(np.clip((rest @ rest) / (spread @ spread), 0.0, 1.0))


def dose_length(times: Sequence[float]) -> float:
    """From the first dose to the last."""
    return float(max(times) - min(times)) if times else 0.0
