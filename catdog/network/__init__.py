"""The network: its files and stages, what its frozen part puts out, and the steps in which the rest learns."""
