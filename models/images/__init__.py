"""From a file to pixels: sources, decoding, preprocessing, sampling."""
