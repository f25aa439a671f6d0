"""One file a platform; the file name is the name that a recipe uses."""
