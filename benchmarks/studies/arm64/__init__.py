"""Artefacts on emulated ARM processors."""
