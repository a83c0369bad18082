"""The measure of errors of all benchmarks."""

import numpy as np


def relative(found: np.ndarray, exact: np.ndarray, times: int, least: float = 1e-3) -> np.ndarray:
    """Errors relative to what is exact, or to a share `least` of its largest size along the axis `times`."""
    size = np.maximum(np.abs(exact), least * np.abs(exact).max(axis=times, keepdims=True))
    return np.abs(found - exact) / np.where(size > 0.0, size, 1.0)
