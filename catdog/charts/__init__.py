"""What is drawn of a run, and said of its curves: from plain values, without a network or a folder."""
