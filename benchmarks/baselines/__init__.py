"""One file a baseline, read top to bottom like its paper."""
