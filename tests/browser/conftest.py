"""What all tests in a browser may use."""

from helpers.browser import address, browser, place

__all__ = ["address", "browser", "place"]
