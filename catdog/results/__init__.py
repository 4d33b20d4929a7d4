"""What the numbers of a run say: measured, put in words, kept as a report, and read without trust."""
