"""Turn fetched posts into clips: crop, filter, measure, extract features, split without leaks."""
