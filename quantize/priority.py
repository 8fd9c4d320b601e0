"""In which order operations go to float: most noise saved for each of them first."""

from collections import defaultdict
from collections.abc import Iterable

from torch import fx

from eightbit.quantize.fallback.ranking import Sensitivities
from eightbit.quantize.network.graph import operation_kind, tensor_name
from eightbit.quantize.network.placement import float_candidates, sources


def float_order(traced: fx.GraphModule, noise: Sensitivities) -> tuple[tuple[str, ...], ...]:
    """All operations that may stay in float, in steps that pay.

    One operation in float saves the rounding of its weights. The rounding of a tensor is saved only
    if its producer and all its readers are in float, so they go together: a step is one operation,
    or as many as free one more tensor, whichever saves the most noise for each operation that is
    new. So steps cling together, and grow along a residual stream.

    Args:
        traced: The fused network, traced.
        noise: What is saved by not rounding.

    Returns:
        The names of the operations of each step; each name once.
    """
    order = float_candidates(traced)
    around = _around(traced, order)
    touched: dict[str, list[str]] = defaultdict(list)
    for tensor, names in around.items():
        for name in names:
            touched[name].append(tensor)
    moves = [frozenset((name,)) for name in order] + [around[name] for name in noise.tensors]
    floats: set[str] = set()

    def saved(new: Iterable[str]) -> float:
        """Of the noise that is left."""
        after = floats.union(new)
        tensors = dict.fromkeys(tensor for name in new for tensor in touched[name])
        freed = sum(noise.tensors.get(tensor, 0.0) for tensor in tensors if around[tensor] <= after)
        return freed + sum(noise.weights.get(name, 0.0) for name in new)

    steps: list[tuple[str, ...]] = []
    while len(floats) < len(order):
        # In order of execution, so that sums and ties come out the same every time.
        open_moves = [tuple(name for name in order if name in move - floats) for move in moves]
        best = max((move for move in open_moves if move), key=lambda move: saved(move) / len(move))
        steps.append(best)
        floats.update(best)
    return tuple(steps)


def _around(traced: fx.GraphModule, order: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """For each tensor the operations that must be in float for it not to be rounded.

    Pooling is in float where all around it is, so it stands for its own producer and readers.
    """
    touching: dict[str, set[str]] = defaultdict(set)
    pools: list[str] = []
    for node in traced.graph.nodes:
        name = tensor_name(traced, node)
        if name is None:
            continue
        touching[name].add(name)
        for source in sources(traced, node):
            touching[source].add(name)
        if operation_kind(traced, node) == "pool":
            pools.append(name)
    for pool in pools:
        near = {name for names in touching.values() if pool in names for name in names}
        for names in touching.values():
            if pool in names:
                names |= near
    return {name: frozenset(names.intersection(order)) for name, names in touching.items()}
