"""A `.keras` file that older versions of Keras read, too."""

from pathlib import Path

import keras

from catdog.network.plain_plans import plain_plan


def save_plainly(model: keras.Model, path: Path) -> None:
    """Write a model as a `.keras` file in which nothing stands that older versions of Keras refuse."""
    plan = {"class_name": type(model).__name__, "config": model.get_config()}
    # Keras asks the model itself how it is to be described; a file rewritten afterwards would be there twice.
    model.get_config = lambda: plain_plan(plan)["config"]
    try:
        model.save(path)
    finally:
        del model.get_config
