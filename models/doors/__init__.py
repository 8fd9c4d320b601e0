"""Whatever arrives becomes a `Pretrained`: a network, its weights and its spec."""
