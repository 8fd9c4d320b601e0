"""Programs for maintainers that quantize; not in the wheel."""
