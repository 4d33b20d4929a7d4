"""What every page needs: who is looking, and how names and times are written."""
