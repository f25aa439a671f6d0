"""Train and score every baseline under one protocol."""
