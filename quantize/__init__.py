"""From a pretrained network to verified INT8 artefacts."""
