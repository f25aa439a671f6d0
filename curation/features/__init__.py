"""One file a feature: what it needs from the decoder, and extract()."""
