"""How long torch's threads wait in a loop for each other before they sleep.

torch's CPU build brings GNU's OpenMP, whose threads spin for milliseconds at every barrier. Where
something else runs on one of the cores, each layer waits for a thread that has no core to run on
while the other one burns its own. Calibrating ResNet-50 on 32 images of 224 px, three passes each:
with one of two cores busy 37.6 to 38.0 s by default, 5.2 to 8.2 s with a short spin; with little
else running 2.1 to 2.6 s with a short spin, 2.3 s for the only undisturbed pass by default.
"""

from collections.abc import Mapping

_SPINS = {"GOMP_SPINCOUNT": "10000"}


def with_short_spins(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment variables under which OpenMP's threads soon give their core away.

    What the user set is kept. libgomp reads them when torch is imported.
    """
    return {**_SPINS, **environment}
