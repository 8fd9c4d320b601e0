"""Measures models that run: latency, accuracy, closeness, and the report of all of it.

Nothing here knows who made a model. Names are resolved when they are used, so that a process for
one runtime does not load the other.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
