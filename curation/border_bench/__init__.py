"""The border benchmark: videos whose border is known to the pixel, and how well each method finds it.

kinds.py is the contract; a file that holds `KINDS` or `SOURCES` adds kinds of borders or pictures. run.bench() does it all.
"""
