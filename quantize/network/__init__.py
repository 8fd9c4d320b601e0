"""The float network, fused and traced."""
