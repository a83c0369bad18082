"""Pictures: each takes results and returns a matplotlib `Figure`; `save` writes it."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
