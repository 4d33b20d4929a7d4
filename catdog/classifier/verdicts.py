"""What is said of a photo in the end: a class's name, that it is unsure, or that it is neither."""

UNSURE, NEITHER = "unsure", "neither"
# Of photos that are less probable than this to be what they are called, more than one in five is something else.
UNSURE_BELOW = 0.8


def verdict_of(
    label: str, probability: float, similarity: float | None, limit: float | None, unsure_below: float = UNSURE_BELOW
) -> str:
    """The label, unless the photo is unlike those that were learned from, or the label's probability too low.

    `similarity` is the photo's to them and `limit` the least that counts as like them; None where nothing is known.
    """
    if similarity is not None and limit is not None and similarity < limit:
        return NEITHER
    return UNSURE if probability < unsure_below else label
