"""What came of a run: its figures, mistakes and doubtful labels, and the files to hand on."""
