"""What each command does: it takes the parsed arguments and a console, and returns the exit status."""
