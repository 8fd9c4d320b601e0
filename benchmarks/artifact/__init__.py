"""A model file and what it says of itself: formats, metadata, input, refusals."""
