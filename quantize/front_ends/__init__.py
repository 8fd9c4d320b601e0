"""torch's own quantization, driven by a recipe: eager and FX."""
