"""torch's FX graph mode quantization with its default configurations, as one peer.

`torch.ao.quantization` is deprecated upstream and still what most pages on the web recommend: its
default configurations `x86` and `fbgemm` give activations seven bits, `onednn` all eight.
"""

from collections.abc import Callable
from typing import Final, cast

import torch
from torch import nn
from torch.ao.nn.quantized import FXFloatFunctional
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.studies.peers.candidates.job import Candidate, Job, calibration_batches
from eightbit.benchmarks.studies.peers.candidates.networks import load_network
from eightbit.models.errors import InputError
from eightbit.models.networks.quantizable import DeQuantStub, FloatFunctional, QuantStub

# Observers see one batch at a time; 32 is the size that torch's tutorial calibrates with.
_BATCH: Final = 32

# The modules that a classifier becomes.
_LINEAR: Final = ("Linear", "QuantizedLinear")

# The name of the configuration is also that of the engine that it is made for.
_CONFIGURATIONS: Final = {
    Candidate.FX_X86: "x86",
    Candidate.FX_ONEDNN: "onednn",
    Candidate.FX_FBGEMM: "fbgemm",
}


class TorchNetwork:
    """A torch network that answers; see `answers.Answers`.

    Attributes:
        network: As given, in channels_last.

    Raises:
        InputError: No linear layer is in it.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._read: list[torch.Tensor] = []
        linear = [m for m in network.modules() if m._get_name() in _LINEAR]
        if not linear:
            raise InputError(f"expected a classifier ({', '.join(_LINEAR)}), found none")
        linear[-1].register_forward_pre_hook(lambda _, inputs: self._read.append(inputs[0]))

    def __call__(self, batch: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Runs the network on float32 (N, 3, H, W).

        Returns:
            Logits, and the features that the classifier read, both float32 (N, ...).
        """
        with torch.inference_mode():
            logits = self.network(_channels_last(batch))
        features = self._read.pop()
        return logits.numpy(), (
            features.dequantize() if features.is_quantized else features
        ).numpy()


def plain_network(job: Job) -> nn.Module:
    """The float network as torchvision writes it: sums and no stubs.

    FX places its own observers. The stubs of eager mode become identities, and the modules that
    stand for the residual sums become torch's own replacement for them, whose sums FX can trace.
    """
    pretrained = load_network(job)
    without_stubs(pretrained.model)
    # torch's annotations leave this argument out where it stands alone.
    network: nn.Module = pretrained.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def without_stubs(network: nn.Module) -> None:
    """Take what eager mode needs out of a network, in place."""
    for name, child in network.named_children():
        if isinstance(child, QuantStub | DeQuantStub):
            setattr(network, name, nn.Identity())
        elif isinstance(child, FloatFunctional):
            setattr(network, name, FXFloatFunctional())
        else:
            without_stubs(child)


def load_float(job: Job) -> Callable[[], TorchNetwork]:
    """The reference of the comparison: the float network, with nothing to quantize."""
    torch.set_num_threads(job.threads)
    network = TorchNetwork(plain_network(job))
    return lambda: network


def load_fx(job: Job) -> Callable[[], TorchNetwork]:
    """Load the float network; the result calibrates and converts it.

    Raises:
        InputError: This build of torch lacks the engine.
    """
    engine = _CONFIGURATIONS[job.candidate]
    if engine not in torch.backends.quantized.supported_engines:
        raise InputError(f"this build of torch has no quantized engine {engine}")
    torch.backends.quantized.engine = engine
    torch.set_num_threads(job.threads)
    network = plain_network(job)
    return lambda: TorchNetwork(_quantized(network, engine, job))


def _quantized(network: nn.Module, engine: str, job: Job) -> nn.Module:
    prepared = prepare_fx(
        network,
        get_default_qconfig_mapping(engine),
        example_inputs=(torch.zeros(1, 3, *job.spec.preprocessing.crop_size),),
    )
    with torch.inference_mode():
        for batch in calibration_batches(job, _BATCH):
            prepared(_channels_last(batch.pixels))
    return cast("nn.Module", convert_fx(prepared))


def _channels_last(batch: FloatArray) -> torch.Tensor:
    return torch.from_numpy(batch).to(memory_format=torch.channels_last)
