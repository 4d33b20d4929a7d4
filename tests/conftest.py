"""What all tests may use."""

from trained import drawings, trained

__all__ = ["drawings", "trained"]
