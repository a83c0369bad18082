"""The measure of errors of all benchmarks."""

import numpy as np


def relative(found: np.ndarray, exact: np.ndarray, times: int) -> np.ndarray:
    """Errors relative to what is exact or to a thousandth of its largest size along the axis `times`."""
    size = np.maximum(np.abs(exact), 1e-3 * np.abs(exact).max(axis=times, keepdims=True))
    return np.abs(found - exact) / np.where(size > 0.0, size, 1.0)
