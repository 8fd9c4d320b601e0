"""Which two weights meet in a saturating 16-bit sum, in every runtime."""
