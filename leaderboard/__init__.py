"""Scores and published figures as one self-contained page."""
