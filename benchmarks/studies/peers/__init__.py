"""Other quantizers on the same images, beside eightbit."""
