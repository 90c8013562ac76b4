"""The dialects: one file for each type of provider."""
