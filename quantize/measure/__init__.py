"""Accuracy, latency and diagnosis of a bundle, as its report."""
