"""Doors for networks that this project does not build: a user's own, and those of libraries."""
