"""The two phases of a run: what learns in each, on what it learns, and what the network then makes of the photos."""

import keras
import numpy as np
import tensorflow as tf

from catdog.classifier.novelty import (
    MOST_PASSED_AGAIN,
    MOST_PHOTOS,
    NEIGHBOURS,
    Reference,
    spread_evenly,
    unit,
    with_limit,
)
from catdog.learning.preparation import Setup
from catdog.learning.training_loop import Learning, Phase
from catdog.network.activations import NETWORK_BATCH, Extracted, PhotoPixels, Source, in_batches
from catdog.network.backbone import set_trainable, stage_ends
from catdog.network.folded import fold
from catdog.network.steps import on_devices, strategy_of_devices
from catdog.photos.photo_sets import labels_of


def head_phase(setup: Setup, train: Extracted, validation: Extracted) -> Phase:
    """The head learns on pooled features, every convolution frozen."""
    config, model = setup.config, setup.model
    set_trainable(model, "conv5")
    network = keras.Model(model.get_layer("pooled").output, model.get_layer("logits").output)
    sources = train.pooled, validation.pooled
    return Phase("head", config.head_epochs, config.head_learning_rate, network, *sources, setup.views)


def fine_tune_phase(setup: Setup, train: Extracted, validation: Extracted) -> Phase:
    """The stages above the freeze depth learn with the head, on activations at the boundary or else on photos."""
    config, model = setup.config, setup.model
    set_trainable(model, config.freeze_depth)
    start, *sources = tail_start(setup, train, validation)
    strategy = strategy_of_devices()
    network = on_devices(keras.Model(start, model.get_layer("logits").output), strategy)
    rate = config.fine_tune_learning_rate
    return Phase("fine-tune", config.fine_tune_epochs, rate, network, *sources, setup.views, strategy)


def tail_start(setup: Setup, train: Extracted, validation: Extracted) -> tuple[keras.KerasTensor, Source, Source]:
    """Where the tail begins in the model, and what goes into it there in training and in validation."""
    config, model = setup.config, setup.model
    if train.boundary is not None:
        start = model.get_layer(stage_ends(model)[config.freeze_depth]).output
        return start, train.boundary, validation.boundary
    if config.freeze_depth == "conv5":
        return model.get_layer("pooled").output, train.pooled, validation.pooled
    photos = PhotoPixels(train.photos, config.image_size), PhotoPixels(validation.photos, config.image_size)
    return model.inputs[0], *photos


def find_reference(setup: Setup, extracted: dict[str, Extracted], learning: Learning) -> Reference:
    """The features of the training photos in the finished network, and how near them validation photos are."""
    train, validation = extracted["train"], extracted["validation"]
    seed, class_names = setup.config.seed, setup.photo_set.class_names
    if learning.best.event["phase"] == "fine-tune" and setup.config.freeze_depth != "conv5":
        start, *sources = tail_start(setup, train, validation)
        network = keras.Model(start, setup.model.get_layer("pooled").output)
        most_train, most_validation = MOST_PASSED_AGAIN["train"], MOST_PASSED_AGAIN["validation"]
    else:
        network, sources = None, [train.pooled, validation.pooled]
        most_train = most_validation = MOST_PHOTOS
    rows = spread_evenly(labels_of(train.photos), most_train, seed)
    points = unit(run_rows(network, sources[0], rows))
    paths = tuple(str(train.photos[row].path) for row in rows)
    names = tuple(class_names[train.photos[row].label] for row in rows)
    judged = spread_evenly(labels_of(validation.photos), most_validation, seed)
    return with_limit(Reference(points, NEIGHBOURS, 0.0, paths, names), run_rows(network, sources[1], judged))


def run_rows(network: keras.Model | None, source: Source, rows: np.ndarray) -> np.ndarray:
    """What a network makes of these rows of a source, float32 (n, channels); without one, the rows themselves."""
    views = np.zeros(len(rows), int)
    if network is None:
        return source.batch(rows, views)
    folded = fold(network)

    @tf.function(input_signature=[tf.TensorSpec((None, *network.inputs[0].shape[1:]), tf.float32)])
    def run(batch: tf.Tensor) -> tf.Tensor:
        return folded(batch)[0]

    return np.concatenate([run(batch).numpy() for batch in in_batches(source, rows, views, NETWORK_BATCH)])
