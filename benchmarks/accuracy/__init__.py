"""Statistics of answers: tallies, paired tests, intervals, fidelity, parity."""
