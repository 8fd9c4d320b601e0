"""What processors, their instruction sets and the kernels for them are called, as far as INT8 goes.

Linux, torch and oneDNN each have names of their own for the same.
"""

from typing import Final, NamedTuple

# Instruction sets by torch's names (those of the cpuinfo library, which asks the processor), in the
# order in which they came, and what people call them.
X86: Final = {
    "avx2": "AVX2",
    "avx512_bw": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX512-VNNI",
    "avx_vnni_int8": "AVX-VNNI-INT8",
    "avx512_bf16": "AVX512-BF16",
    "amx_int8": "AMX-INT8",
}
ARM: Final = {"neon": "NEON", "dot": "dot product", "i8mm": "I8MM", "sve": "SVE", "sve2": "SVE2"}

# What a report lists of a processor, by the flags of /proc/cpuinfo: these, and what float kernels
# need.
_FLAGS: Final = {"avx512_bw": "avx512bw", "neon": "asimd", "dot": "asimddp"}
REPORTED_FLAGS: Final = frozenset(
    {
        *(_FLAGS.get(name, name) for name in (*X86, *ARM)),
        *("ssse3", "fma", "f16c", "avx512f", "avx512vl", "amx_tile"),
    }
)

# Any of them sums products of bytes in int32 at once; without, x86 saturates at 16 bits.
VNNI: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})

# The variable that limits oneDNN's instruction sets, under its present name and its former one:
# https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
ONEDNN_VARIABLES: Final = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")

# Of its values, those with which oneDNN has no VNNI.
ONEDNN_WITHOUT_VNNI: Final = frozenset({"SSE41", "AVX", "AVX2", "AVX512_CORE"})


class OnednnLimit(NamedTuple):
    """What one of these values leaves.

    Attributes:
        word: In the names of executions.
        taken: Instruction sets of which a processor must have one to miss anything.
        spoken: The same for people.
    """

    word: str
    taken: frozenset[str]
    spoken: str


ONEDNN_LIMITS: Final = {
    "AVX512_CORE": OnednnLimit("no_vnni", frozenset({"avx512_vnni"}), "AVX-512 with VNNI"),
    "AVX2": OnednnLimit(
        "avx2", frozenset({"avx512_bw", "avx_vnni"}), "an instruction set beyond AVX2"
    ),
}

# torch's quantized engines: all that its builds for CPUs have had; those with kernels of x86, whose
# pairs of products saturate without VNNI (qnnpack widens to 16 bits before it multiplies); those
# that compute convolutions in oneDNN.
ENGINES: Final = ("onednn", "x86", "fbgemm", "qnnpack")
X86_ENGINES: Final = frozenset({"onednn", "x86", "fbgemm"})
ONEDNN_ENGINES: Final = ("onednn", "x86")

# A processor that QEMU emulates: x86-64 with AVX2 and nothing newer. It warns, once per process, of
# each extension of such a processor that it lacks.
OLD_CPU: Final = "Haswell"
LACKING: Final = {OLD_CPU: ("pcid", "x2apic", "tsc-deadline", "hle", "invpcid", "rtm")}


def is_x86(machine: str) -> bool:
    """Whether an architecture, as `platform.machine()` spells it, is 64-bit x86."""
    return machine.lower() in {"x86_64", "amd64"}


def is_arm(machine: str) -> bool:
    """Whether an architecture, as `platform.machine()` spells it, is 64-bit ARM."""
    return machine.lower() in {"aarch64", "arm64"}
