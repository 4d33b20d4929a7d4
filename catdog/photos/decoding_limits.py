"""What a photo may cost besides its pixels: a small file can be built to keep a decoder busy for hours.

Each limit is far beyond what cameras and programs write, and what is beyond it is refused with `UnreadablePhoto`.
"""

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from catdog.errors import UnreadablePhoto

# What may stand before the picture: profiles, previews and maps of depth take a few MB. Decoders copy some of it again
# with each part that comes.
MAX_HEADER_BYTES = 16_000_000
# Decoders read a header piece by piece, in Python; 16 MB of a JPEG's are 250 segments of four pieces each.
MAX_HEADER_PIECES = 20_000
# The same of a whole file: the largest PNG in the pieces of 4 KB that some programs write takes 150,000.
MAX_PIECES = 500_000
# A progressive JPEG goes over its picture ten times, or some more; one could be made to do so without an end. This is
# 20 times over the largest that is read.
MAX_SCANNED_PIXELS = 5_000_000_000
# What begins a segment of a JPEG, and ends the data of a scan.
MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
END, SCAN = 0xD9, 0xDA


class MeteredFile(io.BytesIO):
    """The bytes of a photo's file, which are read in as many pieces as a photo has and no more."""

    def __init__(self, content: bytes):
        super().__init__(content)
        self.pieces_left, self.in_header = MAX_HEADER_PIECES, True
        self.bytes_left = MAX_HEADER_BYTES

    def read(self, size: int | None = -1) -> bytes:
        """Read as any file does; raises `UnreadablePhoto` beyond the limits."""
        piece = super().read(size)
        self.pieces_left -= 1
        if self.pieces_left < 0:
            raise UnreadablePhoto(
                f"more than {MAX_HEADER_PIECES:,} pieces stand before the picture in it"
                if self.in_header
                else f"the picture in it is in more than {MAX_PIECES:,} pieces"
            )
        # Whoever asks for all at once reads no header.
        if self.in_header and size is not None and size >= 0:
            self.bytes_left -= len(piece)
            if self.bytes_left < 0:
                raise UnreadablePhoto(f"more than {MAX_HEADER_BYTES // 1_000_000} MB stand before the picture in it")
        return piece

    def end_header(self) -> None:
        """What follows is the picture itself."""
        self.pieces_left, self.in_header = MAX_PIECES, False


def require_few_scans(content: bytes, pixels: int) -> None:
    """Raise `UnreadablePhoto` for the content of a JPEG of so many pixels that goes over them endlessly."""
    most, scans, pieces, start = MAX_SCANNED_PIXELS // max(pixels, 1), 0, 0, 0
    while found := MARKER.search(content, start):
        marker = found[1][0]
        if marker == END:
            return
        scans, pieces = scans + (marker == SCAN), pieces + 1
        if scans > most or pieces > MAX_HEADER_PIECES:
            raise UnreadablePhoto("its picture is drawn over more often than is read")
        # A segment says how long it is, with the two bytes that say so.
        start = found.end() + max(int.from_bytes(content[found.end() : found.end() + 2], "big"), 2)


class Room:
    """Room for pixels: threads that would take more than there is together wait for one another."""

    def __init__(self, pixels: int):
        self.free = pixels
        self.pixels = pixels
        self.turn = threading.Lock()
        self.changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Hold room for so many pixels, or all of it for more than that; waits until it is free."""
        pixels = min(pixels, self.pixels)
        # Whoever waits for much isn't overtaken by all who want little.
        with self.turn, self.changed:
            self.changed.wait_for(lambda: self.free >= pixels)
            self.free -= pixels
        try:
            yield
        finally:
            with self.changed:
                self.free += pixels
                self.changed.notify_all()
