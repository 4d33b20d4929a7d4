"""Numbers as people read them."""

MINUTE, HOUR = 60, 3600


def percent(share: float) -> str:
    """A share from 0 to 1 as a percentage; 98.4 %, and neither 100 % nor 0 % unless it is exactly that."""
    return f"{percentage(share):.{0 if share in (0, 1) else 1}f} %"


def percentage(share: float) -> float:
    """The number in it: 98.4."""
    return share * 100 if share in (0, 1) else min(max(share * 100, 0.1), 99.9)


def counted(number: int, noun: str) -> str:
    """A number of things: 1 epoch, 1,000 photos."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def decimal(number: float) -> str:
    """A small number without an exponent: 0.00001."""
    return f"{number:.10f}".rstrip("0").rstrip(".")


def magnitude(number: int) -> str:
    """A large whole number as it is said: 4,098, 214 thousand, 7.1 million."""
    if number < 10_000:
        return f"{number:,}"
    if number < 999_500:
        return f"{number / 1000:.0f} thousand"
    return f"{number / 1_000_000:.1f} million"


def duration(seconds: float) -> str:
    """How long, in the unit that suits: 8 s, 3 min, 2 h 5 min."""
    if seconds < MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < HOUR:
        return f"{round(seconds / MINUTE)} min"
    hours, minutes = divmod(round(seconds / MINUTE), 60)
    return f"{hours} h {minutes} min"


def gigabytes(size_bytes: int) -> str:
    """A size of memory: 0.8 GB."""
    return f"{max(size_bytes / 1e9, 0.1):.1f} GB"


def short_loss(loss: float) -> str:
    """A loss with three decimals, or two digits where it is smaller than they can tell."""
    return f"{loss:.3f}" if loss >= 0.01 else f"{loss:.2g}"
