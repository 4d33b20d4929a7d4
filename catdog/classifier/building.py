"""A network with a new head: what is trained, and then asked."""

import keras
import numpy as np

DROPOUT = 0.2


def build_classifier(backbone: keras.Model, class_count: int) -> keras.Model:
    """The backbone with a new softmax layer: float32 RGB from 0 to 255 in, (n, class_count) probabilities out."""
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(backbone.output)
    x = keras.layers.Dropout(DROPOUT, name="dropout")(x)
    x = keras.layers.Dense(class_count, name="logits")(x)
    x = keras.layers.Softmax(name="probabilities")(x)
    return keras.Model(backbone.inputs[0], x, name="cat_dog_classifier")


def scale_logits(model: keras.Model, temperature: float) -> None:
    """Divide a classifier's logits by a temperature, for good."""
    head = model.get_layer("logits")
    head.set_weights([values / np.float32(temperature) for values in head.get_weights()])
