"""Which layers stay in float when INT8 alone drops too much."""
