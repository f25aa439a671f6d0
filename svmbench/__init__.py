"""svmbench: build short-video music datasets, and benchmark the systems that match music to video."""

__version__ = "0.1.0"
