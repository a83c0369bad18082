"""From the name of a question to its answer."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pkpd.devices import float64
from pkpd.records.resolve import load_question, resolve

if TYPE_CHECKING:
    from pkpd.infer.fit import Fit


def fit(question: str, quick: bool = False, progress: Callable[[str, float], None] | None = None) -> "Fit":
    """Fits a question, a name such as `lissoni1995/joint` or a path, in float64; writes nothing.

    `quick` stops at the mode and its normal approximation; `progress` is told a message and the share of the
    work that is done. Non-convergence is `Fit.status`, bad input an `InputError` with every fault.
    """
    from pkpd.infer.fit import fit_problem

    asked = load_question(question)
    with float64():
        resolved = resolve(asked)
        return fit_problem(resolved.problem, asked.settings, resolved.others, quick, progress)
