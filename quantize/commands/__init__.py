"""Commands on a finished bundle: verify, evaluate, benchmark, diagnose."""
