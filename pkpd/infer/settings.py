"""How to estimate, and what an answer must meet."""

from collections.abc import Mapping
from dataclasses import dataclass, field

GATES = {
    "rhat": 1.01,
    "ess_bulk": 400.0,
    "divergent": 0.01,
    "starts_agree": 14.0,
    "gradient": 1e-3,
    "patient_noise": 0.1,
}


@dataclass(frozen=True)
class Settings:
    """Starts of the search, chains and iterations of the sampler; `gates` replace those of `GATES`.

    Where `emulate` is not 0, the sampler moves on an emulator that learns from so many examples, and asks the
    model once a move.
    """

    starts: int = 16
    chains: int = 4
    warmup: int = 500
    draws: int = 500
    seed: int = 0
    emulate: int = 0
    gates: Mapping[str, float] = field(default_factory=lambda: dict(GATES))


DEFAULT = Settings()
