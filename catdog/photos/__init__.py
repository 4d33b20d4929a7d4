"""Photos: found in folders and archives, read within limits, compared, and drawn for practice."""
