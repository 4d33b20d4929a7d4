"""Folding against Keras's own networks: outputs, gradients, what is fixed, dropout, and layers of every other kind."""

from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from catdog.classifier.building import build_classifier
from catdog.network.activations import compiled
from catdog.network.backbone import load_backbone, set_trainable, stage_ends
from catdog.network.folded import fold, fold_layers, read_graph


def randomize(network: keras.Model, seed: int = 0) -> None:
    """Give every batch normalization statistics, scales and offsets under which a mistake shows."""
    chance = np.random.default_rng(seed)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            for variable in layer.variables:
                low, high = (-0.3, 0.3) if variable.name in ("beta", "moving_mean") else (0.7, 1.3)
                variable.assign(chance.uniform(low, high, variable.shape))
        elif isinstance(layer, layers.Conv2D) and layer.use_bias:
            layer.bias.assign(chance.uniform(-0.3, 0.3, layer.bias.shape))


@pytest.fixture(scope="module")
def starter():
    return build_classifier(load_backbone("starter").model, 2)


@pytest.fixture(scope="module")
def resnet50():
    """Keras's own ResNet-50 of random weights, of full width, as a classifier."""
    keras.utils.set_random_seed(3)
    network = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(None, None, 3))
    randomize(network)
    return build_classifier(network, 3)


@pytest.fixture(params=["starter", "resnet50"])
def classifier(request):
    return request.getfixturevalue(request.param)


def some_photos(count: int = 3, size: int = 48) -> np.ndarray:
    """Photos of noise (count, size, size, 3), 0 to 255."""
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3)).astype(np.float32)


def assert_close(found, expected, tolerance: float = 1e-5) -> None:
    """Fails unless a tensor equals another to a tolerance relative to its largest value."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    largest = np.abs(expected).max()
    assert largest > 0
    assert np.abs(found - expected).max() <= tolerance * largest


def assert_folds(network: keras.Model, batch: np.ndarray) -> None:
    """Fails unless a network folds, fixed or not, to what Keras gives."""
    expected = keras.tree.flatten(network(batch, training=False))
    for fixed in (True, False):
        folded = fold(network, fixed=fixed)
        for outputs in (folded(tf.constant(batch)), tf.function(folded)(tf.constant(batch))):
            for found, wanted in zip(outputs, expected, strict=True):
                assert_close(found, wanted)


def test_a_classifier_folds_to_what_keras_gives(classifier):
    boundary = classifier.get_layer(stage_ends(classifier)["conv4"]).output
    pooled = classifier.get_layer("pooled").output
    assert_folds(keras.Model(classifier.inputs[0], [boundary, pooled, classifier.output]), some_photos())


def test_every_convolution_of_a_classifier_takes_its_batch_normalization_in(classifier):
    start = classifier.get_layer(stage_ends(classifier)["conv4"]).output
    for network in (classifier, keras.Model(start, classifier.get_layer("logits").output)):
        kinds = Counter(type(layer) for layer in network.layers)
        convolutions, passed_on = fold_layers(read_graph(network))
        assert len(convolutions) == kinds[layers.Conv2D] >= 10
        assert all(each.normalization is not None for each in convolutions.values())
        padding = {"conv1_pad"} if network is classifier else set()
        names = {layer.name for layer in network.layers if isinstance(layer, layers.BatchNormalization)}
        assert passed_on == names | padding


@pytest.mark.parametrize("freeze_depth", ["conv1", "conv3", "conv4"])
def test_a_tail_folds_to_what_keras_gives(starter, freeze_depth):
    start = starter.get_layer(stage_ends(starter)[freeze_depth]).output
    batch = np.random.default_rng(2).uniform(0, 2, (2, 6, 6, start.shape[-1])).astype(np.float32)
    assert_folds(keras.Model(start, starter.get_layer("logits").output), batch)


def test_what_is_compiled_takes_bytes_of_any_size(starter):
    run = compiled(starter)
    for size in (32, 48):
        photos = some_photos(size=size)
        assert_close(run(photos.astype(np.uint8))[0], starter(photos))


def gradients(loss_of, network: keras.Model, variables: list) -> list:
    """The gradients of a loss of a network's logits, whose labels are 0, 1, 0, ..."""
    with tf.GradientTape() as tape:
        loss = loss_of(network)
    return tape.gradient(loss, [variable.value for variable in variables])


def test_gradients_are_keras_own_and_none_reaches_a_batch_normalization(classifier):
    set_trainable(classifier, "conv4")
    start = classifier.get_layer(stage_ends(classifier)["conv4"]).output
    tail = keras.Model(start, classifier.get_layer("logits").output)
    learning = tail.trainable_variables
    assert len(learning) > 10
    folded = fold(tail, fixed=False)

    def loss(logits):
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(tf.constant([0, 1, 0, 1]), logits))

    def apart(batch: tf.Tensor) -> tuple[float, float]:
        """How far the gradients are apart on a batch, at most: by their largest entry, and as a whole."""
        expected = gradients(lambda network: loss(network(batch, training=False)), tail, learning)
        found = gradients(lambda network: loss(folded(batch)[0]), tail, learning)
        pairs = [(np.asarray(mine), np.asarray(theirs)) for mine, theirs in zip(found, expected, strict=True)]
        entries = max(np.abs(mine - theirs).max() / np.abs(theirs).max() for mine, theirs in pairs)
        return entries, max(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs) for mine, theirs in pairs)

    chance = np.random.default_rng(3)
    batches = [tf.constant(chance.uniform(0, 2, (4, 3, 3, start.shape[-1])).astype(np.float32)) for _ in range(6)]
    by_entry, as_a_whole = zip(*map(apart, batches), strict=True)
    # On some batches rounding takes an activation to the other side of zero, and then single entries are far apart.
    assert min(by_entry) <= 1e-4
    assert max(as_a_whole) <= 0.01
    batch = batches[0]
    normalizing = [
        variable
        for layer in tail.layers
        if isinstance(layer, layers.BatchNormalization)
        for variable in (layer.gamma, layer.beta)
    ]
    assert gradients(lambda network: loss(folded(batch)[0]), tail, normalizing) == [None] * len(normalizing)


def small_network() -> keras.Model:
    """A convolution with what is folded into it, and a bias before it is normalized."""
    image = keras.Input((8, 8, 3))
    x = layers.ZeroPadding2D(((1, 0), (2, 1)))(image)
    x = layers.Conv2D(4, 3, strides=2, name="convolution")(x)
    x = layers.BatchNormalization(name="normalization")(x)
    network = keras.Model(image, layers.Activation("relu")(x))
    randomize(network)
    return network


def small_batch(size: int = 8, channels: int = 3) -> np.ndarray:
    """Noise (2, size, size, channels), -1 to 1."""
    return np.random.default_rng(4).uniform(-1, 1, (2, size, size, channels)).astype(np.float32)


@pytest.mark.parametrize("name", ["kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"])
@pytest.mark.parametrize("compiling", [False, True])
def test_what_is_fixed_was_fixed_when_it_was_folded(name, compiling):
    network, batch = small_network(), small_batch()
    before = network(batch).numpy()
    fixed, moving = fold(network), fold(network, fixed=False)
    if compiling:
        fixed, moving = tf.function(fixed), tf.function(moving)
        moving(tf.constant(batch))
    (variable,) = (each for layer in network.layers for each in layer.variables if each.name == name)
    variable.assign(variable + 0.5)
    assert_close(fixed(tf.constant(batch))[0], before)
    assert_close(moving(tf.constant(batch))[0], network(batch))
    assert np.abs(network(batch) - before).max() > 1e-3


def test_dropout_acts_only_in_training():
    values = keras.Input((100,))
    network = keras.Model(values, layers.Dropout(0.5, seed=1)(values))
    ones = tf.ones((2, 100))
    for fixed in (True, False):
        folded = fold(network, fixed=fixed)
        np.testing.assert_array_equal(folded(ones)[0], ones)
        assert set(np.unique(folded(ones, training=True)[0])) == {0.0, 2.0}


def test_batch_normalization_does_not_learn_even_in_training():
    for network in (small_network(), alone()):
        network.trainable = True
        before = [variable.numpy() for variable in network.variables]
        expected = network(small_batch(), training=False)
        for found in fold(network, fixed=False)(tf.constant(small_batch()), training=True):
            assert_close(found, expected)
        for variable, value in zip(network.variables, before, strict=True):
            np.testing.assert_array_equal(variable, value)


def graph_of(build) -> keras.Model:
    """A network of what a function builds on pictures of 3 channels."""
    image = keras.Input((8, 8, 3))
    network = keras.Model(image, build(image))
    randomize(network)
    return network


def convolved(x, **options):
    """A convolution with a name of its own, and a batch normalization after it."""
    return layers.BatchNormalization()(layers.Conv2D(4, 3, **options)(x))


def shared_by_two(image):
    """A convolution, read by a batch normalization and by something else."""
    x = layers.Conv2D(4, 3)(image)
    return layers.Add()([layers.BatchNormalization()(x), layers.ReLU()(x)])


def put_out_and_normalized(image):
    """A convolution that is an output itself, and is normalized too."""
    x = layers.Conv2D(4, 3)(image)
    return [x, layers.BatchNormalization()(x), x]


def padding_shared_by_two(image):
    """Zeros that a convolution and a pooling read."""
    x = layers.ZeroPadding2D(1)(image)
    return [convolved(x), layers.MaxPooling2D(3)(x)]


def alone() -> keras.Model:
    """Batch normalization of something else than a convolution."""
    return graph_of(lambda image: layers.BatchNormalization()(layers.ReLU()(image)))


def sequential() -> keras.Model:
    """A network that is a list of layers."""
    network = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()])
    randomize(network)
    return network


def nested(image):
    """A network as a layer of another, in inference mode, as Keras's guide to transfer learning has it."""
    return layers.Dense(2)(layers.GlobalAveragePooling2D()(sequential()(image, training=False)))


def called_twice(image):
    """One convolution, run on its own output."""
    layer = layers.Conv2D(3, 3, padding="same")
    return layers.BatchNormalization()(layer(layer(image)))


def preprocessed(image):
    """Operations that take more than tensors, before the convolution."""
    return convolved(keras.applications.resnet.preprocess_input(image) * 2.0 - 0.5)


GRAPHS = {
    "depthwise": lambda image: layers.BatchNormalization()(layers.DepthwiseConv2D(3)(image)),
    "separable": lambda image: layers.BatchNormalization()(layers.SeparableConv2D(4, 3)(image)),
    "transposed": lambda image: layers.BatchNormalization()(layers.Conv2DTranspose(4, 3)(image)),
    "with an activation": lambda image: convolved(image, activation="relu"),
    "dilated": lambda image: convolved(image, dilation_rate=2),
    "in groups": lambda image: layers.BatchNormalization()(layers.Conv2D(6, 3, groups=3)(image)),
    "same": lambda image: convolved(image, padding="same", strides=2),
    "same after zeros": lambda image: convolved(layers.ZeroPadding2D(2)(image), padding="same", strides=2),
    "zeros twice": lambda image: convolved(layers.ZeroPadding2D(1)(layers.ZeroPadding2D(((0, 1), (2, 0)))(image))),
    "without bias": lambda image: convolved(image, use_bias=False),
    "no scale": lambda image: layers.BatchNormalization(scale=False)(layers.Conv2D(4, 3)(image)),
    "no center": lambda image: layers.BatchNormalization(center=False)(layers.Conv2D(4, 3)(image)),
    "neither": lambda image: layers.BatchNormalization(scale=False, center=False)(layers.Conv2D(4, 3)(image)),
    "another epsilon": lambda image: layers.BatchNormalization(epsilon=0.1)(layers.Conv2D(4, 3)(image)),
    "another axis": lambda image: layers.BatchNormalization(axis=2)(layers.Conv2D(4, 3)(image)),
    "normalized twice": lambda image: layers.BatchNormalization()(convolved(image)),
    "normalized zeros": lambda image: layers.BatchNormalization()(layers.ZeroPadding2D(1)(image)),
    "not normalized": layers.Conv2D(4, 3),
    "zeros before pooling": lambda image: layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(image)),
    "zeros put out": layers.ZeroPadding2D(1),
    "read by two": shared_by_two,
    "put out and normalized": put_out_and_normalized,
    "zeros read by two": padding_shared_by_two,
    "sum of three": lambda image: layers.Add()([convolved(image), convolved(image), convolved(image)]),
    "sum with itself": lambda image: layers.Add()([image, image]),
    "joined": lambda image: layers.Concatenate()([convolved(image), layers.Conv2D(2, 3)(image)]),
    "other activations": lambda image: layers.Activation("gelu")(layers.LeakyReLU()(convolved(image))),
    "limited": lambda image: layers.ReLU(max_value=0.5)(convolved(image)),
    "dense": lambda image: layers.BatchNormalization()(layers.Dense(5)(layers.Flatten()(image))),
    "operations": preprocessed,
    "an operation of a tensor alone": lambda image: convolved(keras.ops.tanh(image)),
    "a part of an output": lambda image: convolved(keras.ops.split(image, 2, axis=1)[1]),
    "nested": nested,
    "called twice": called_twice,
    "a dictionary of outputs": lambda image: {"b": convolved(image), "a": layers.ReLU()(image)},
    "the input itself": lambda image: [image, convolved(image)],
}


@pytest.mark.parametrize("build", GRAPHS.values(), ids=GRAPHS)
def test_every_kind_of_layer_folds_to_what_keras_gives(build):
    assert_folds(graph_of(build), small_batch())


@pytest.mark.parametrize("build", [alone, sequential, small_network])
def test_a_network_that_was_saved_and_loaded_folds(build, tmp_path):
    network = build()
    for name in ("network.keras", "network.h5"):
        network.save(tmp_path / name)
        assert_folds(keras.models.load_model(tmp_path / name, compile=False), small_batch())


def test_a_network_of_two_inputs_is_called_as_it_is():
    first, second = keras.Input((3,)), keras.Input((3,))
    network = keras.Model([first, second], layers.Concatenate()([layers.Dense(2)(first), second]))
    values = [tf.ones((2, 3)), tf.zeros((2, 3))]
    assert_close(fold(network)(values)[0], network(values))


def test_half_precision_is_left_to_keras():
    image = keras.Input((8, 8, 3))
    network = keras.Model(image, layers.Conv2D(4, 3, dtype="mixed_bfloat16")(image))
    assert fold(network)(tf.constant(small_batch()))[0].dtype == tf.bfloat16
