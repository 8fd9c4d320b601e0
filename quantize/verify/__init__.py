"""Proof that the artefacts compute the recipe's integers."""
