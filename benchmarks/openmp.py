"""How long torch's threads wait in a loop for each other before they sleep.

torch's CPU build brings GNU's OpenMP, whose threads spin for milliseconds at every barrier. Alone
on a machine that costs nothing. Where something else runs on one of the cores, each layer waits for
a thread that has no core to run on while the other one burns its own: with one busy core of two, a
pass over 32 images took 38 s instead of 5.2 s, and with an idle machine as long with a short spin
as with the default (ResNet-50 at 224 px).
"""

from collections.abc import Mapping

_SPINS = {"GOMP_SPINCOUNT": "10000"}


def with_short_spins(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment variables under which OpenMP's threads soon give their core away.

    What the user set is kept. libgomp reads them when torch is imported.
    """
    return {**_SPINS, **environment}
