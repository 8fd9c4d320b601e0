"""The same in a process of its own: messages, workers, timed calls."""
