"""A training from its photos to its files, and the questions that a smaller one answers."""
