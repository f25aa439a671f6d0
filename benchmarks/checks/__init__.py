"""One file an integrity check."""
