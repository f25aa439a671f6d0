"""One file a filter: measure() reads the clip, judge() applies the thresholds."""
