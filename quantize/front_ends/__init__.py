"""Observers in a network, and torch's own quantization of it, driven by a recipe: eager and FX."""
