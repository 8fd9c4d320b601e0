"""The arithmetic of quantization, observers, and collection from batches that it is handed.

Names are resolved when they are used, so that the command line starts without torch.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
