"""Files that are written whole or not at all, kept, fetched and found; nothing here knows what a photo or a run is."""
