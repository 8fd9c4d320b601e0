"""Networks, their weights and their images; names are imported on first use, torch only then."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
