"""Two folders change places in one step of the operating system."""

import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import Final

# From <linux/fs.h> and from Apple's <sys/stdio.h>.
_RENAME_EXCHANGE: Final = 2
_RENAME_SWAP: Final = 2
_AT_FDCWD: Final = -100


def exchange(first: Path, second: Path) -> None:
    """Let two folders, or files, of one file system change places.

    Whoever looks sees both in their old places or both in their new ones.

    Raises:
        OSError: They stay where they are: this system or file system cannot do it (``ENOSYS``,
            ``EINVAL``), one is where a file system is mounted (``EBUSY``), or it is not allowed.
    """
    library = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(first), os.fsencode(second)
    name = "renamex_np" if sys.platform == "darwin" else "renameat2"
    function = getattr(library, name, None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(first), None, str(second))
    if sys.platform == "darwin":
        failed = function(*paths, ctypes.c_uint(_RENAME_SWAP))
    else:
        failed = function(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], ctypes.c_uint(_RENAME_EXCHANGE))
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(first), None, str(second))
