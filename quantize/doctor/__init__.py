"""Examines a model file or this machine and says what is wrong."""
