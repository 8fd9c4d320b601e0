"""Model files: written, audited and opened again."""
