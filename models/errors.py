"""The two errors of this room: an unusable input of the whole run, and one unusable image."""

from eightbit.models.plain_text import printable


class InputError(ValueError):
    """Unusable input, which the command line turns into exit code 2.

    The message is one line that says where, what was expected, what was found and what to do. Names
    in it come from files and command lines: what is not plainly visible in it is escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message.replace("\n", " ")))


class UnusableImage(Exception):  # noqa: N818 - not a failure of the run: the image is skipped
    """An image that cannot be used and is skipped; the message is the reason, without its name."""

    def __init__(self, reason: str) -> None:
        super().__init__(printable(reason.replace("\n", " ")))
