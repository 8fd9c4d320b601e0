"""Opening a model file in a runtime and running it on one kind of processor."""
