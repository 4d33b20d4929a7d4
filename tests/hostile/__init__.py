"""What strangers and broken machines bring: cases of each kind, tried one by one, and made up by chance."""
