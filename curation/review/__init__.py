"""The page where a person keeps or drops clips, and what becomes of the decisions."""
