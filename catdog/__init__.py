"""Train and use cat-or-dog classifiers on a pre-trained ResNet-50.

>>> from catdog import TrainConfig, load_classifier, train
>>> result = train(TrainConfig(data="data"), "runs/first")
>>> for photo in load_classifier("runs/first").classify(["cat.jpg"]): print(photo.label, photo.probabilities)
"""

import os
from typing import Any

# Both are read when TensorFlow and Keras are first imported, which nothing here does before it must.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

from catdog.settings import TrainConfig

__version__ = "0.1.0"
__all__ = ["TrainConfig", "load_classifier", "train"]


# What brings TensorFlow, which takes seconds. Named by text, so that whoever reads the version depends on none of it.
LATER = {
    "train": "catdog.learning.training:train",
    "load_classifier": "catdog.classifier.loading:load_classifier",
}


def __getattr__(name: str) -> Any:
    """Import `train` and `load_classifier` when first asked for."""
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pkgutil import resolve_name

    return resolve_name(LATER[name])
