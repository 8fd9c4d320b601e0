"""How a model file is executed: by what, with which kernels, as which processor.

The integers of an artefact are the same on every machine only if they are the same in all of
these, so each of them can be asked for on one machine.
"""

import platform
import shutil
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from eightbit.benchmarks.artifact.formats import RuntimeByName
from eightbit.benchmarks.runtimes.cpu_names import LACKING, ONEDNN_LIMITS, ONEDNN_VARIABLES, is_x86
from eightbit.models.errors import InputError
from eightbit.models.spec import FrozenModel, PositiveCount

EMULATOR: Final = "qemu-x86_64"
EMULATOR_PACKAGE: Final = "qemu-user"  # of Debian and its relatives

_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class Execution(FrozenModel):
    """One way to execute a model file; by default as its runtime does.

    Attributes:
        optimize: Whether ONNX Runtime or OpenVINO may fuse what the graph rounds; without, every
            node computes what is written.
        for_inference: Whether torch optimises a float network once more after loading it
            (`torch.jit.optimize_for_inference`), which cannot be saved.
        engine: torch's quantized engine to use in place of the artefact's own, such as "fbgemm".
        max_isa: The best instruction set that oneDNN may use, as its variable ONEDNN_MAX_CPU_ISA
            spells it: "AVX512_CORE" is AVX-512 without VNNI.
        emulated_cpu: Model of the x86 processor that QEMU emulates, such as "Haswell".
        images: How many it is handed at once; None for as many as the caller likes.
    """

    runtime: RuntimeByName
    optimize: bool = True
    for_inference: bool = False
    engine: _Word | None = None
    max_isa: _Word | None = None
    emulated_cpu: _Word | None = None
    images: PositiveCount | None = None

    @model_validator(mode="after")
    def _only_what_the_runtime_has(self) -> Self:
        known = (*self.runtime.options, *(("max_isa",) if self.runtime.uses_onednn else ()))
        for name in ("optimize", "engine", "max_isa", "for_inference"):
            default, found = type(self).model_fields[name].default, getattr(self, name)
            if found != default and name not in known:
                raise ValueError(f"{name}: expected {default} for {self.runtime}, found {found}")
        return self

    @property
    def name(self) -> str:
        """A word that tells it from the others: "onnx", "onnx_unoptimised", "torchscript_avx2"."""
        limit = ONEDNN_LIMITS.get(self.max_isa or "")
        isa = limit.word if limit else self.max_isa and self.max_isa.lower()
        cpu = self.emulated_cpu.lower() if self.emulated_cpu else None
        inference = "for_inference" if self.for_inference else None
        batch = f"batch{self.images}" if self.images else None
        marks = (None if self.optimize else "unoptimised", inference, self.engine, isa, cpu, batch)
        return "_".join([self.runtime.word, *(mark for mark in marks if mark)])

    @property
    def lacks_vnni(self) -> bool:
        """Whether it runs as a processor without VNNI would, whatever this one has."""
        return self.max_isa is not None or self.emulated_cpu is not None

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of the process that executes; libraries read them as they load."""
        return {} if self.max_isa is None else {ONEDNN_VARIABLES[0]: self.max_isa}

    def command_prefix(self) -> tuple[str, ...]:
        """What stands before the command of the process that executes.

        Raises:
            InputError: A processor is to be emulated, and this machine cannot.
        """
        if self.emulated_cpu is None:
            return ()
        if (problem := emulator_problem()) is not None:
            raise InputError(f"{self.name}: cannot emulate {self.emulated_cpu}: {problem}")
        without = "".join(f",-{name}" for name in LACKING.get(self.emulated_cpu, ()))
        return (EMULATOR, "-cpu", f"{self.emulated_cpu}{without}")


def emulator_problem() -> str | None:
    """Why no x86 processor can be emulated here, and what to do; None where one can."""
    if not is_x86(platform.machine()):
        return f"that takes an x86-64 Python, and this one is for {platform.machine()}"
    if shutil.which(EMULATOR) is None:
        return f"{EMULATOR_PACKAGE} is not installed: apt-get install {EMULATOR_PACKAGE}"
    return None
