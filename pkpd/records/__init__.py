"""The door for fits: questions by hand (TOML), answers by the machine (JSON and draws)."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
