"""What goes wrong in a way that a person can mend: the text of each error is one plain sentence."""


class CatdogError(Exception):
    """Says in one sentence what was received and what to do about it."""


class Refused(CatdogError):
    """Raised before any work starts: a wrong value, a missing folder, photos that can't be trained on."""


class Failed(CatdogError):
    """Raised when work that had started can't go on."""


class Stopped(CatdogError):
    """Raised when somebody asked the work to stop before there was anything worth keeping."""
