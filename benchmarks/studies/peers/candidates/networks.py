"""The float network that everybody is given."""

import torch

from eightbit.benchmarks.artifact.metadata import file_sha256
from eightbit.benchmarks.studies.peers.candidates.job import Work
from eightbit.models.doors.pretrained import Pretrained, load_pretrained
from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture


def load_network(work: Work) -> Pretrained:
    """The network of a job, in evaluation mode.

    One of a structure that its architecture's name does not tell is read as `made_networks` wrote
    it; any other through the door of the command line.

    Raises:
        InputError: The weights do not fit.
    """
    spec = work.spec
    architecture = Architecture(spec.architecture)
    if not work.structure:
        return load_pretrained(
            architecture,
            str(work.weights),
            preprocessing=spec.preprocessing,
            progress=False,
        )
    model = build_model(
        architecture, num_classes=spec.num_classes, include_top=True, **work.structure
    )
    model.load_state_dict(torch.load(work.weights, weights_only=True))
    return Pretrained(
        model=model.eval(),
        spec=spec,
        weights_sha256=file_sha256(work.weights),
        source=work.weights.name,
    )
