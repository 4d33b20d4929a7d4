"""A trained classifier: put together, written, found and loaded, asked about photos, and what is said of each."""
