"""A model file loaded in a runtime: one runner for each."""
