"""Work past this process: the workers of a Ray cluster, and answers kept part by part."""
