"""The command line where torch has no `torch.ao`, and no `torch.jit` for this project.

torch itself imports both, and needs `torch.jit` for its own operators.
"""

import sys
import types
from functools import partial

import torch

GONE = ("torch.ao", "torch.jit")


class Gone(types.ModuleType):
    """Stands for a module that a later torch does not have, as far as this project asks for it."""

    def __init__(self, module: types.ModuleType) -> None:
        super().__init__(module.__name__)
        self.there = module

    def __getattr__(self, name: str) -> object:
        asking = sys._getframe(1).f_globals["__name__"]
        if asking.startswith("eightbit"):
            raise AttributeError(f"{asking}: {self.__name__}.{name} is gone")
        return getattr(self.there, name)


def block() -> None:
    for name in list(sys.modules):
        if f"{name}.".startswith("torch.ao."):
            sys.modules[name] = None  # type: ignore[assignment]
    torch.ao, torch.jit = Gone(torch.ao), Gone(torch.jit)


def main() -> int:
    from eightbit.benchmarks.latency import launches
    from eightbit.quantize import pipeline
    from eightbit.quantize.cli import entry

    # Only what is quick: latency takes half a minute.
    launches._WARM_UP_SECONDS = 0.0
    least = launches.Effort(launches=1, rounds=1, seconds=0.05)
    pipeline.time_bundle = partial(pipeline.time_bundle, effort=least)
    return entry.main(sys.argv[1:])


if __name__ == "__main__":
    block()
    raise SystemExit(main())
