"""The report of a run: where every post went, and what the clips are, in counts and statistics alone: it can be shared."""
