"""What a classifier answers to photos, as other programs read it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catdog.classifier.prediction import Prediction


def answer_of(path: str, found: "Prediction") -> dict[str, Any]:
    """A prediction as plain values: path, label, probability of each class, verdict and error."""
    answer = {"path": path, "label": found.label, "probabilities": found.probabilities}
    return answer | {"verdict": found.verdict, "error": found.error}
