"""A run's folder and its process: what lies in it, who may start it, how it goes, and whose it is."""
