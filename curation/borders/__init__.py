"""One file a way to find borders: what it needs from the decoder, and find().

The file name is the method's name in a recipe (`borders: {method: robust}`). Contract in curation.border.Method.
"""
