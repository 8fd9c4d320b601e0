"""What stands in for the plain data of other packages that training leaves beside the weights.

A learning rate that is a NumPy scalar, a path, or a configuration of OmegaConf's would keep a whole
checkpoint from being read without running code. Here their names stand for classes that take any
argument, keep nothing and do nothing: no code of those packages is imported or run.
"""

from typing import Any, Final, Self


class PlainData:
    """An object of another package, of which only that it was there is known."""

    def __new__(cls, *arguments: object, **named: object) -> Self:
        """Whatever its pickle says it is made of."""
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Forget it."""


class NumPyArray(PlainData):
    """An array whose content is not read."""


class _PlainDict:
    """Stands for a kind of dictionary; what is made of it is an ordinary one."""

    def __new__(cls, *arguments: object) -> Any:
        """An empty dictionary; a pickle puts its items in afterwards."""
        return {}


_CLASSES: Final = {
    "argparse": ("Namespace",),
    "builtins": ("bool", "dict", "float", "int", "list", "str", "tuple"),
    "datetime": ("date", "datetime", "timedelta", "timezone"),
    "numpy": ("dtype", "ndarray"),
    "numpy.core.multiarray": ("scalar",),
    "numpy._core.multiarray": ("scalar",),
    "omegaconf.base": ("ContainerMetadata", "Metadata"),
    "omegaconf.dictconfig": ("DictConfig",),
    "omegaconf.listconfig": ("ListConfig",),
    "omegaconf.nodes": ("AnyNode", "BooleanNode", "FloatNode", "IntegerNode", "StringNode"),
    "pathlib": ("Path", "PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "pathlib._local": ("PosixPath", "WindowsPath"),
    "typing": ("Any",),
}

# Pairs of a stand-in and the name that it stands for, as `torch.serialization.safe_globals` takes.
STAND_INS: Final[tuple[tuple[Any, str], ...]] = (
    *((PlainData, f"{module}.{name}") for module, names in _CLASSES.items() for name in names),
    (NumPyArray, "numpy.core.multiarray._reconstruct"),
    (NumPyArray, "numpy._core.multiarray._reconstruct"),
    (_PlainDict, "collections.defaultdict"),
    (_PlainDict, "lightning_fabric.utilities.data.AttributeDict"),
    (_PlainDict, "lightning.fabric.utilities.data.AttributeDict"),
    (_PlainDict, "pytorch_lightning.utilities.parsing.AttributeDict"),
)
