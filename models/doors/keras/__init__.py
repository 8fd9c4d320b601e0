"""Networks that Keras saved: their files, read without its library, as modules of torch."""
