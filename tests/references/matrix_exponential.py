"""Linear kinetics in 50 digits: `x' = A x + r`, from dose to dose by the exponential of a matrix.

`M` is `A` with the inflows `r` as a further column, `x` has a last state that stays 1: `x = exp(M t) x(0)`.
What mpmath sums up is `exp((M + c) t)`, with `c` the fastest loss: no term is negative, so that small states
have as many digits as large ones.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from mpmath import mp


class Change(NamedTuple):
    """What a dose does at a time: it adds an amount to a state, and a rate to the inflow of the state."""

    time: Any
    state: int
    amount: Any = 0
    rate: Any = 0


def states(
    matrix: Sequence[Sequence[Any]], changes: Sequence[Change], times: Sequence[Any], digits: int = 50
) -> list[list[Any]]:
    """Amounts at positive times [times, states]; at the time of a change they are those before it.

    `matrix[i][j]` is the rate from state `j` into state `i`, on the diagonal minus the rate of loss.
    """
    size = len(matrix)
    found = {}
    with mp.workdps(digits):
        wide, x = mp.zeros(size + 1), mp.zeros(size + 1, 1)
        wide[:size, :size], x[size] = mp.matrix(matrix), 1
        breaks = {mp.zero, *times, *(change.time for change in changes)}
        for start, end in pairwise(sorted(t for t in breaks if t <= max(times))):
            for change in (c for c in changes if c.time == start):
                x[change.state] += change.amount
                wide[change.state, size] += change.rate
            x = exponential(wide, mp.mpf(end) - mp.mpf(start)) * x
            found[end] = list(x[:size])
    return [found[time] for time in times]


def exponential(matrix: Any, time: Any) -> Any:
    """`exp(matrix time)` of a matrix with negative numbers on the diagonal alone."""
    fastest = max(-matrix[i, i] for i in range(matrix.rows))
    return mp.exp(-fastest * time) * mp.expm((matrix + fastest * mp.eye(matrix.rows)) * time)


def rate_matrix(numbers: Mapping[str, Any]) -> list[list[Any]]:
    """`A` of depot, lymph, central and peripheral compartments, as far as there are parameters of them."""
    chain = [numbers[k] for k in ("ka", "ktr") if k in numbers]
    peripherals = [(numbers[f"q{k}"], numbers[f"vp{k}"]) for k in ("", "2") if f"q{k}" in numbers]
    volume, central = numbers["vc" if peripherals else "v"], len(chain)
    flows = [(i + 1, i, rate) for i, rate in enumerate(chain)] + [(None, central, numbers["cl"] / volume)]
    for i, (q, vp) in enumerate(peripherals, central + 1):
        flows += [(i, central, q / volume), (central, i, q / vp)]
    rows = [[0.0 * volume] * (central + 1 + len(peripherals)) for _ in range(central + 1 + len(peripherals))]
    for target, source, rate in flows:
        rows[source][source] = rows[source][source] - rate
        if target is not None:
            rows[target][source] = rate
    return rows
