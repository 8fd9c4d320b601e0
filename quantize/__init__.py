"""From a pretrained network to verified INT8 artefacts; names are imported on first use."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
