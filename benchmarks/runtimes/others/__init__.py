"""Runtimes that take the ONNX file without being promised: one runner for each."""
