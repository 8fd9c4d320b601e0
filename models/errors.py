"""The two errors of this room: an unusable input of the whole run, and one unusable image."""


class InputError(ValueError):
    """What the user gave cannot be used; the command line turns this into exit code 2.

    The message is one line that says where, what was expected, what was found and what to do.
    """


class UnusableImage(Exception):  # noqa: N818 - not a failure of the run: the image is skipped
    """One image cannot be used; the others can, so whoever loads many skips it and says why.

    The message is the reason, one line without the image's name.
    """
