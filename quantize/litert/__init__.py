"""The network as a LiteRT file: the same integers, in the operators of phones and boards."""
