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

    The search and the sampler go through `walk` virtual patients, where that is not 0, and the draws are
    weighed by the density over all.
    """

    starts: int = 16
    chains: int = 4
    warmup: int = 500
    draws: int = 500
    seed: int = 0
    walk: int = 0
    gates: Mapping[str, float] = field(default_factory=lambda: dict(GATES))


DEFAULT = Settings()
