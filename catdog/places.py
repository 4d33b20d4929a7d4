"""Where this package lies, and what comes along in it."""

from pathlib import Path

PACKAGE = Path(__file__).parent
WEIGHTS = PACKAGE / "weights"
