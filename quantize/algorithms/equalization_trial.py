"""Whether equalisation helps: the network as it was beside the rescaled one, both quantized."""

import torch
from torch import fx

from eightbit.benchmarks.report.choices import ChoiceTrial
from eightbit.calibration import CalibrationResult
from eightbit.calibration.accumulator import Accumulator
from eightbit.calibration.range_methods import Method
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.torch_state import own_state
from eightbit.quantize.algorithms.simulation import RoundedNetwork
from eightbit.quantize.algorithms.trials import Answers, FloatAnswers, compare
from eightbit.quantize.config import QuantConfig
from eightbit.quantize.network.graph import tensor_name
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.choose import make_recipe

EQUALIZED, AS_IT_WAS = "equalized", "as it was"


@own_state()
def equalization_helps(
    plain: Network,
    equalized: Network,
    pretrained: Pretrained,
    config: QuantConfig,
    *,
    fitting: torch.Tensor,
    held_out: torch.Tensor,
) -> tuple[bool, tuple[ChoiceTrial, ...]]:
    """Compare the two by their answers, with extremes for ranges and weights rounded to nearest.

    Args:
        plain: The float network as it was.
        equalized: The same function with rescaled channels.
        pretrained: Where it comes from.
        config: The intent.
        fitting: Images whose extremes are the ranges: float32, shape (N, 3, H, W).
        held_out: Other images, to judge on: the same.

    Raises:
        InputError: A weight is not finite.
    """
    candidates = {
        name: _quantized(network, pretrained, config, fitting)
        for name, network in ((EQUALIZED, equalized), (AS_IT_WAS, plain))
    }
    exact = FloatAnswers(RoundedNetwork(plain, {}).answers, held_out)
    chosen, trials = compare(candidates, exact, len(held_out))
    return chosen == EQUALIZED, trials


def _quantized(
    network: Network, pretrained: Pretrained, config: QuantConfig, images: torch.Tensor
) -> Answers:
    watching = _Watching(network.traced)
    with torch.inference_mode():
        watching.run(images.contiguous(memory_format=torch.channels_last))
    statistics = {name: seen.statistics() for name, seen in watching.seen.items()}
    collected = CalibrationResult(
        tensors={name: one for name, one in statistics.items() if one is not None},
        digests=(b"",) * len(images),
        threads=torch.get_num_threads(),
    )
    recipe = make_recipe(network, collected, pretrained, config, Method.MINMAX)
    return RoundedNetwork(network, recipe.activations, recipe).answers


class _Watching(fx.Interpreter):
    """Runs a float network and keeps the statistics of every named tensor."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.seen: dict[str, Accumulator] = {}

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        name = tensor_name(n)
        if name is not None:
            self.seen.setdefault(name, Accumulator()).add(result)
        return result
