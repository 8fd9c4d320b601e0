"""What the trial of all pairs found, as a table in Markdown, and what follows from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.studies.pairs.layers import (
    Layer,
    Order,
    Pair,
    orders_in,
    outside_of,
    pairs_of,
)
from eightbit.models.plain_text import one_line

_NAMED: Final = 12

_EXPLANATION: Final = """\
x86 CPUs without VNNI multiply uint8 activations with int8 weights by `vpmaddubsw`, which adds each
two products in a signed 16-bit integer and saturates. Which two is what is found out here. Every
output channel has two weights of 127 and otherwise zeros, every input is 255: 64770 is exact, 32767
is saturated. All pairs of two weights of a layer are tried, each in every group and at every
position of the image, in a convolution of the given number of output channels (several one after
the other, until no pair is left). An execution is named as in [verification](../verification.md);
`haswell` is emulated by QEMU and has AVX2, `no_vnni` and `avx2` are oneDNN limited by
`ONEDNN_MAX_CPU_ISA` on this machine.

*Channels*: weights of channels 2i and 2i + 1 of one group at one position of the kernel.
*Flattened*: the (2j)th and the (2j + 1)th weight in (kH, kW, C) order, which for an even number of
channels are the same pairs. *Neither*: any other pair, as channel and position of both weights.

A linear layer is torch's `_int_mm` and ONNX's Gemm, as eightbit writes classifiers. `_int_mm` calls
oneDNN only where the CPU has AVX-512 with VNNI (pytorch/pytorch#136942), and else adds exactly: so
it does on the emulated CPU, while a limited oneDNN, which torch does not know of, saturates.

Not tried: FBGEMM and ONNX Runtime on a CPU with AVX-512 and without VNNI, which QEMU does not
emulate. They have kernels of their own there."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One layer in one execution.

    Attributes:
        layer: Which.
        execution: How it was executed.
        saturating: Pairs whose sum was wrong.
        failure: Why there is none, or None.
    """

    layer: Layer
    execution: Execution
    saturating: tuple[Pair, ...] = ()
    failure: str | None = None

    def cells(self) -> tuple[str, ...]:
        """How many pairs saturate, of which order they are, and which are of none."""
        if self.failure is not None:
            return (f"failed: {one_line(self.failure)}".replace("|", "\\|"), "", "", "")
        neither = outside_of(self.layer, self.saturating, *Order)
        return (str(len(self.saturating)), *map(self._of, Order), self.named(neither))

    def _of(self, order: Order) -> str:
        there = pairs_of(self.layer, order)
        return f"{len(set(there).intersection(self.saturating))} of {len(there)}"

    def named(self, pairs: Sequence[Pair]) -> str:
        """Pairs in words, channel and position of both; only the first if there are many."""
        if not pairs:
            return "none"
        places = [
            " + ".join(f"c{c} p{p}" for c, p in (divmod(i, self.layer.positions) for i in pair))
            for pair in pairs[:_NAMED]
        ]
        more = f"; {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
        return f"{len(pairs)}: {'; '.join(places)}{more}"

    def line(self) -> str:
        """For the terminal."""
        return " | ".join((self.execution.name, self.layer.name, *self.cells()))


def markdown(outcomes: Sequence[Outcome], missing: Mapping[str, str], command: str) -> str:
    """The whole file.

    Args:
        outcomes: Layer by layer.
        missing: Why an execution was not possible, by its name.
        command: That made it.
    """
    without = [one for one in outcomes if one.execution.lacks_vnni]
    lines = [
        "# Which two weights meet in 16 bits",
        "",
        f"`{command}`",
        "",
        f"{read_environment().summary()}.",
        "",
        _EXPLANATION,
        *(f"\nNot tried: `{name}`: {reason}." for name, reason in missing.items()),
        "",
        "## What follows",
        "",
        *(f"- {sentence}" for sentence in findings(without)),
        *(f"- {sentence}" for sentence in as_it_is(outcomes)),
        "",
        "## Layer by layer",
        "",
        "| layer | pairs | executions | saturate | channels | flattened | neither |",
        "|---|---|---|---|---|---|---|",
        *_rows(without),
    ]
    return "\n".join(lines) + "\n"


def _rows(outcomes: Sequence[Outcome]) -> Iterable[str]:
    """Executions in which a layer came out alike share a row."""
    everybody = {one.execution.name for one in outcomes}
    for layer, of_layer in groupby(outcomes, key=lambda one: one.layer):
        alike: dict[tuple[str, ...], list[str]] = {}
        for one in of_layer:
            alike.setdefault(one.cells(), []).append(one.execution.name)
        head = (layer.name, f"{len(layer.pairs):,}")
        for cells, names in alike.items():
            who = "all" if set(names) == everybody else _code(names)
            yield f"| {' | '.join((*head, who, *cells))} |"
            head = ("", "")


def findings(outcomes: Sequence[Outcome]) -> list[str]:
    """What the pairs that saturate without VNNI have in common, in sentences."""
    done = [one for one in outcomes if one.failure is None]
    even = [one for one in done if one.layer.channels % 2 == 0]
    odd = [one for one in done if one.layer.channels % 2]
    return [
        _finding(
            even,
            "Even numbers of channels (and inputs of a linear layer)",
            "only channels 2i and 2i + 1 at one position meet: a bound on those is enough",
            Order.CHANNELS,
        ),
        _finding(
            odd,
            "Odd numbers of channels",
            f"only pairs of one of the two orders meet: a bound on both is enough{_union(odd)}",
            *Order,
        ),
        *_single_order(odd),
    ]


def _finding(outcomes: Sequence[Outcome], who: str, what: str, *orders: Order) -> str:
    layers = {one.layer for one in outcomes}
    names = {one.execution.name for one in outcomes}
    tried = f"{who} (layers: {len(layers)}, executions: {len(names)}):"
    found = sum(len(one.saturating) for one in outcomes)
    outside = [
        f"{one.layer.name} in `{one.execution.name}`: {one.named(pairs)}"
        for one in outcomes
        if (pairs := outside_of(one.layer, one.saturating, *orders))
    ]
    if outside:
        return f"{tried} OTHER PAIRS MEET: {'. '.join(outside)}."
    return f"{tried} {what}." if found else f"{tried} nothing saturated, so nothing follows."


def _union(outcomes: Sequence[Outcome]) -> str:
    """How few pairs that is, for the layers of 3 channels."""
    sizes = {
        f"{one.layer.kernel}x{one.layer.kernel}": (
            sum(bool(orders_in(one.layer, pair)) for pair in one.layer.pairs),
            len(one.layer.pairs),
        )
        for one in outcomes
        if one.layer.channels == 3
    }
    words = (f"{few} of {all_:,} for {kernel}" for kernel, (few, all_) in sorted(sizes.items()))
    return f" (with 3 channels {', '.join(words)})" if sizes else ""


def _single_order(outcomes: Sequence[Outcome]) -> list[str]:
    """Which executions add exactly the pairs of one order."""
    sentences = []
    for order in Order:
        others = {
            one.execution.name
            for one in outcomes
            if set(one.saturating) != set(pairs_of(one.layer, order))
        }
        names = dict.fromkeys(one.execution.name for one in outcomes)
        if exactly := _code(name for name in names if name not in others):
            sentences.append(f"Odd numbers of channels, exactly {order}: {exactly}.")
    return sentences


def as_it_is(outcomes: Sequence[Outcome]) -> list[str]:
    """What saturates on this machine's own processor, and which executions failed."""
    sentences = []
    native = [one for one in outcomes if not one.execution.lacks_vnni and one.failure is None]
    if native:
        names = _code(one.execution.name for one in native)
        wrong = [one.layer.name for one in native if one.saturating]
        what = f"saturates {'; '.join(dict.fromkeys(wrong))}" if wrong else "nothing saturates"
        sentences.append(f"The same files on this machine's own processor, {names}: {what}.")
    if failed := _code(one.execution.name for one in outcomes if one.failure is not None):
        sentences.append(f"Failed for a layer or more: {failed}.")
    return sentences


def _code(names: Iterable[str]) -> str:
    """Names in Markdown, each once."""
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))
