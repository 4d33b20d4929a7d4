"""In a process with two logical devices: how far two learn as one does, and a whole run on both."""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from catdog.network import steps

DEVICES = ["CPU:0", "CPU:1"]


def network() -> keras.Model:
    """A small network with all that a tail has; its dropout leaves nothing out, so that chance decides nothing."""
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 4))
    x = keras.layers.Conv2D(8, 3, name="convolution")(image)
    x = keras.layers.BatchNormalization(name="normalization", trainable=False)(x)
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(keras.layers.Activation("relu")(x))
    x = keras.layers.Dropout(0.0, name="dropout")(x)
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x))


def learn(strategy: tf.distribute.Strategy) -> tuple[list[list[float]], dict[str, np.ndarray]]:
    """Losses and counts of steps on batches of 8, 7 and 1, and the variables after them."""
    learning = steps.on_devices(network(), strategy)
    with strategy.scope():
        optimizer = keras.optimizers.Adam(0.01)
        optimizer.build(learning.trainable_variables)
    step = steps.compiled_step(learning, optimizer, strategy)
    chance = np.random.default_rng(0)
    figures = []
    for count in (8, 7, 1):
        batch = chance.normal(size=(count, 6, 6, 4)).astype(np.float32)
        figures.append([float(each) for each in step(batch, chance.integers(0, 3, count).astype(np.int32))])
    return figures, {variable.path: variable.numpy() for variable in learning.trainable_variables}


def compare_steps() -> None:
    """Print the figures of both ways, and the largest difference between the variables after them."""
    alone, variables = learn(tf.distribute.get_strategy())
    together, copies = learn(tf.distribute.MirroredStrategy(DEVICES))
    difference = max(float(np.abs(variables[path] - copies[path]).max()) for path in variables)
    print(json.dumps({"alone": alone, "together": together, "difference": difference}))


def train_on_both(arguments: list[str]) -> int:
    """Run the command line where two devices stand for two GPUs."""
    from catdog.__main__ import main

    steps.several_gpus = lambda: DEVICES
    return main(arguments)


if __name__ == "__main__":
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * len(DEVICES))
    sys.exit(train_on_both(sys.argv[1:]) if sys.argv[1:] else compare_steps())
