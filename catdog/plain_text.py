"""Text that somebody else had a hand in, as a name of a file: shown as one line, to which a terminal only listens."""

import re
from typing import TextIO

# Control characters, line and paragraph separators, what turns the direction of what follows, and half characters, as
# the name of a file has that isn't UTF-8.
UNSHOWN = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(text: str) -> str:
    """The text with the escapes of those characters that would end the line, command a terminal or can't be written."""
    return UNSHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def say(line: str, stream: TextIO | None = None) -> None:
    """Print a text as one line, on standard output unless another stream is named."""
    print(one_line(line), file=stream, flush=stream is not None)
