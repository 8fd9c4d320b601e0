"""The inputs of a layer in blocks: the same sums, whatever the kernel, the groups and the order."""

import pytest
import torch
from torch import nn

from eightbit.quantize.algorithms.gptq import InputBlocks, sampled_inputs

LAYERS = {
    "3x3": nn.Conv2d(16, 6, 3, padding=1, bias=False),
    "the first layer": nn.Conv2d(3, 6, 7, padding=3, stride=2, bias=False),
    "dilated and strided": nn.Conv2d(4, 6, 3, padding=2, dilation=2, stride=2, bias=False),
    "grouped and oblong": nn.Conv2d(24, 6, (1, 5), padding=(0, 2), groups=2, bias=False),
    "depthwise": nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
    "1x1": nn.Conv2d(128, 6, 1, bias=False),
    "linear": nn.Linear(96, 6, bias=False),
}
every_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


@every_layer
def test_the_blocks_of_single_outputs_add_up_to_the_layers_outputs(
    layer: nn.Conv2d | nn.Linear,
) -> None:
    torch.manual_seed(0)
    is_linear = isinstance(layer, nn.Linear)
    x = torch.randn(3, 96) if is_linear else torch.randn(3, layer.in_channels, 9, 8)
    blocks = InputBlocks.of(layer)
    inputs = blocks.inputs(sampled_inputs(layer, x, torch.Generator().manual_seed(0)))
    sums = inputs @ blocks.split(layer.weight.detach())
    outputs = sums.reshape(blocks.groups, blocks.blocks, -1, sums.shape[-1]).sum(1)
    found = outputs.transpose(0, 1).reshape(-1, 4 if blocks.groups == 4 else 6)
    expected = layer(x).detach()
    if not is_linear:
        expected = expected.permute(0, 2, 3, 1).reshape(len(found), -1)
    # There are fewer positions than are sampled, so each comes once, in another order.
    torch.testing.assert_close(found.sort(0).values, expected.sort(0).values)


@every_layer
def test_what_is_split_is_joined_again(layer: nn.Conv2d | nn.Linear) -> None:
    blocks, shape = InputBlocks.of(layer), layer.weight.shape
    weight = torch.arange(layer.weight.numel()).reshape(shape)
    assert torch.equal(blocks.join(blocks.split(weight), shape), weight)
    if len(shape) == 4:
        weight = weight.contiguous(memory_format=torch.channels_last)
        assert torch.equal(blocks.join(blocks.split(weight), shape), weight)


@pytest.mark.parametrize(
    ("name", "size", "count"),
    [
        ("3x3", 72, 2),
        ("the first layer", 49, 3),
        ("1x1", 64, 2),
        ("depthwise", 9, 4),
        ("linear", 48, 2),
    ],
)
def test_a_block_has_whole_channels_and_is_not_large(name: str, size: int, count: int) -> None:
    split = InputBlocks.of(LAYERS[name]).split(LAYERS[name].weight)
    assert split.shape[:2] == (count, size)


def test_positions_are_sampled_where_there_are_many() -> None:
    layer = nn.Conv2d(2, 2, 3, padding=1)
    x = torch.arange(2 * 2 * 64 * 64.0).reshape(2, 2, 64, 64)
    first, again = (sampled_inputs(layer, x, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    centres = first[:, 4, 0]
    assert len(centres) == len(centres.unique()) < 2 * 64 * 64
