"""Every integer of a quantized network: chosen, rounded, written, checked."""
