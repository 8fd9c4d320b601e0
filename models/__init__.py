"""Networks, their weights, and the images that go into them.

Names are resolved when they are first used (PEP 562), so that reading images, preprocessing and
labels need no torch.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
