"""Workers on Ray: the only room that knows it."""
