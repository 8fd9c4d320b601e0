"""The smallest number with which something is met, found with few questions."""

import math
from collections.abc import Callable


def fewest(met: Callable[[int], bool], most: int, *, questions: int) -> int | None:
    """The smallest of the numbers 0 to ``most`` for which the answer is yes.

    Zero is asked first, then the range is halved again and again, by ratio and not by difference:
    small numbers, which one hopes for, take few questions. With eight questions every number up to
    40 is found exactly, numbers up to 200 to within a tenth.

    Answers need not be monotone (a measurement has noise). What is returned has got a yes, and the
    next smaller number that was asked a no; one that was never asked might have got a yes too.

    Args:
        met: The question; never asked twice for the same number.
        most: The largest number; the last question is for it if there was no yes yet.
        questions: How many at most, at least 2.

    Returns:
        The number, or None if no answer was yes.
    """
    if met(0):
        return 0
    low, high = 0, most + 1  # a no, and a yes or the end
    for left in range(questions - 1, 0, -1):
        if high - low == 1:
            break
        middle = most if left == 1 and high > most else _between(low, high)
        if met(middle):
            high = middle
        else:
            low = middle
    return high if high <= most else None


def _between(low: int, high: int) -> int:
    """The geometric middle, apart from both ends."""
    middle = round(math.sqrt((low + 1) * high))
    return min(max(middle, low + 1), high - 1)
