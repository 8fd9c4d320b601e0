"""Untrusted text (file names, labels, error messages), made safe to show on one line."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """1 as "1 image" and 4000 as "4,000 images"; a plural in s need not be given."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def printable(text: str) -> str:
    r"""Replaces every character that is not plainly visible by its backslash escape.

    Line breaks, terminal escapes, bidirectional overrides and the lone surrogates of undecodable
    file names become text such as ``\n`` or ``\x1b``.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def one_line(text: object, limit: int = 300) -> str:
    """The visible words of a text on one line, cut after `limit` characters."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= limit else line[: limit - 3] + "..."


def cut(text: object, limit: int) -> str:
    """A text with its spaces, made visible and cut after `limit` characters."""
    # Not escaped as a whole: an escape is up to ten characters, and a name may have millions.
    line = printable(str(text)[: limit + 1])
    return line if len(line) <= limit else line[: limit - 3] + "..."
