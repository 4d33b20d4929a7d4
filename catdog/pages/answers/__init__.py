"""Answers to photos: which classifier gives them, what they are, why, and how they are shown."""
