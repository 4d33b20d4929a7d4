"""What goes wrong in a way that a person can mend: the text of each error is one plain sentence."""

from catdog.plain_text import one_line

# Characters: what was received may be a whole file, and is cut in its middle then.
LONGEST_SENTENCE = 1_000


class CatdogError(Exception):
    """Says in one sentence what was received and what to do about it."""

    def __init__(self, sentence: str):
        half = LONGEST_SENTENCE // 2
        cut = sentence if len(sentence) <= LONGEST_SENTENCE else f"{sentence[:half]} ... {sentence[-half:]}"
        super().__init__(one_line(cut))


class Refused(CatdogError):
    """Raised before any work starts: a wrong value, a missing folder, photos that can't be trained on."""


class Failed(CatdogError):
    """Raised when work that had started can't go on."""


class Stopped(CatdogError):
    """Raised when somebody asked the work to stop before there was anything worth keeping."""


class UnreadablePhoto(Exception):
    """A file that is no photo, or a broken one; its text is the reason, to be put behind the file's name."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python's or TensorFlow's says that there was not enough memory."""
    # A thread that can't be started is one for whose stack there is no room.
    no_thread = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    return no_thread or isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
