"""Everybody who answers, each in a process of its own: float, files, and the other quantizers."""
