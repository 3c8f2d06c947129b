"""Weights files: their format, where they are found, their cards, and how they are shared."""
