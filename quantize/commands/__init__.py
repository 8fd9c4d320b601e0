"""What is done later to a bundle: verify, evaluate, benchmark, diagnose."""
