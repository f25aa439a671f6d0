"""The contact sheet of a run: one HTML page on which a person sees what was cut, kept and dropped, and how narrowly."""
