"""A network with each batch normalization folded into the convolution before it, run as plain TensorFlow operations.

A batch normalization in inference mode multiplies and shifts each channel by fixed numbers, which a convolution can
do by itself with other weights. The outcome is the same to about 1e-6, and a CPU is spared a pass over the memory.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf


class Graph(NamedTuple):
    """What a network is made of: its layers in working order, and which layers each of them reads."""

    layers: dict[str, Any]
    sources: dict[str, list[str]]
    input_name: str
    output_names: list[str]


@dataclass
class Convolution:
    """A convolution with what is folded into it: the zeros around its input, and the normalization of its output."""

    layer: keras.layers.Conv2D
    padding: str | list[list[int]]  # as TensorFlow takes it
    normalization: keras.layers.BatchNormalization | None = None

    def weights(self) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The kernel and the bias as they are now, scaled and shifted by the batch normalization."""
        kernel = tf.convert_to_tensor(self.layer.kernel)
        bias = tf.convert_to_tensor(self.layer.bias) if self.layer.use_bias else None
        if self.normalization is None:
            return kernel, bias
        scale, shift = scale_and_shift(self.normalization)
        return kernel * scale, shift if bias is None else bias * scale + shift

    def run(self, value: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, learning: bool = False) -> tf.Tensor:
        """The output for an input, with these weights; `learning` takes the way whose gradients are fastest."""
        if learning and self.layer.kernel_size == (1, 1) and isinstance(self.padding, str):
            output = pointwise(value, kernel[0, 0], self.layer.strides)
        else:
            output = tf.nn.conv2d(value, kernel, self.layer.strides, self.padding)
        return output if bias is None else tf.nn.bias_add(output, bias)


def pointwise(value: tf.Tensor, matrix: tf.Tensor, strides: tuple[int, int]) -> tf.Tensor:
    """A convolution with a kernel of one pixel as a matrix product.

    On a CPU the gradients of a matrix product run near the machine's limit, those of a convolution at half of it:
    a step of learning conv5 takes a fifth less time.
    """
    value = value[:, :: strides[0], :: strides[1], :]
    shape = tf.shape(value)
    product = tf.matmul(tf.reshape(value, [-1, matrix.shape[0]]), matrix)
    return tf.reshape(product, [shape[0], shape[1], shape[2], matrix.shape[1]])


def fold(network: keras.Model, fixed: bool = True) -> Callable[..., list[tf.Tensor]]:
    """A function of an input batch, and of `training`, that gives the network's outputs as a list.

    With `fixed` the convolutions' weights are folded once, now; without, each call folds the variables as they are
    then, so that gradients reach them. Batch normalization is in inference mode in any case, as it must be, and
    `training` concerns dropout alone. A network that is no plain graph of single calls is called as it is.
    """
    graph = read_graph(network)
    if graph is None:
        return lambda batch, training=False: keras.tree.flatten(network(batch, training=training))
    convolutions, passed_on = fold_layers(graph)
    kept = {name: convolution.weights() for name, convolution in convolutions.items()} if fixed else {}

    def run(batch: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        values = {graph.input_name: batch}
        for name, layer in graph.layers.items():
            inputs = [values[source] for source in graph.sources[name]]
            if name in passed_on:
                (values[name],) = inputs
            elif name in convolutions:
                weights = kept[name] if fixed else convolutions[name].weights()
                values[name] = convolutions[name].run(*inputs, *weights, learning=not fixed)
            elif inputs:
                values[name] = apply(layer, inputs, training)
        return [values[name] for name in graph.output_names]

    return run


def read_graph(network: keras.Model) -> Graph | None:
    """The graph of a network with one input, or None where a layer is called twice, or with more than tensors."""
    config = network.get_config()
    if "input_layers" not in config:
        return None
    layers = {operation.name: operation for operation in network.operations}
    sources: dict[str, list[str]] = {}
    for each in config["layers"]:
        read = [sources_of(node) for node in each["inbound_nodes"]]
        one_output = len(keras.tree.flatten(layers[each["name"]].output)) == 1
        if len(read) > 1 or None in read or not one_output or not in_float32(layers[each["name"]]):
            return None
        sources[each["name"]] = read[0] if read else []
    inputs = [name for name, read in sources.items() if not read]
    if len(inputs) != 1:
        return None
    # Each output is the layer's name, the call and the place among what the call gave.
    output_names = keras.tree.flatten(config["output_layers"])[::3]
    return Graph({name: layers[name] for name in sources}, sources, inputs[0], output_names)


def sources_of(node: dict[str, Any]) -> list[str] | None:
    """The names of the layers whose outputs a call reads, or None where anything else goes into it."""
    # Keras itself notes `mask=None` and `training=False`.
    options = {name for name, value in node["kwargs"].items() if value is not None and value is not False}
    if len(node["args"]) != 1 or options:
        return None
    (given,) = node["args"]
    tensors = given if isinstance(given, list) else [given]
    if not all(isinstance(tensor, dict) and tensor.get("class_name") == "__keras_tensor__" for tensor in tensors):
        return None
    return [tensor["config"]["keras_history"][0] for tensor in tensors]


def in_float32(layer: Any) -> bool:
    """Whether a layer computes in float32, as all folding does."""
    return getattr(layer, "compute_dtype", "float32") == "float32"


def fold_layers(graph: Graph) -> tuple[dict[str, Convolution], set[str]]:
    """The convolutions by name, and the layers that have nothing left to do since a convolution does it."""
    readers = Counter(name for read in graph.sources.values() for name in read) + Counter(graph.output_names)
    convolutions: dict[str, Convolution] = {}
    passed_on: set[str] = set()
    for name, layer in graph.layers.items():
        # What several layers read, or what is put out, has to be there as it is.
        source = next((each for each in graph.sources[name] if readers[each] == 1), None)
        if is_plain_convolution(layer):
            convolutions[name] = Convolution(layer, layer.padding.upper())
            if is_plain_padding(graph.layers.get(source)) and layer.padding == "valid":
                convolutions[name].padding = [[0, 0], *map(list, graph.layers[source].padding), [0, 0]]
                passed_on.add(source)
        elif is_plain_normalization(layer) and source in convolutions:
            convolutions[source].normalization = layer
            passed_on.add(name)
    return convolutions, passed_on


def is_plain_convolution(layer: Any) -> bool:
    """Whether a layer is a convolution that `Convolution` can stand for."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.groups == 1
        and layer.dilation_rate == (1, 1)
        and layer.data_format == "channels_last"
        and layer.activation is keras.activations.linear
        and layer.padding in ("valid", "same")
    )


def is_plain_padding(layer: Any) -> bool:
    """Whether a layer puts zeros around a picture, its channels last."""
    return type(layer) is keras.layers.ZeroPadding2D and layer.data_format == "channels_last"


def is_plain_normalization(layer: Any) -> bool:
    """Whether a layer is a batch normalization of the channels, which are last."""
    return type(layer) is keras.layers.BatchNormalization and layer.axis in (-1, 3)


def scale_and_shift(layer: keras.layers.BatchNormalization) -> tuple[tf.Tensor, tf.Tensor]:
    """What a batch normalization multiplies each channel by and then adds to it; no gradient passes into it."""
    scale = tf.math.rsqrt(layer.moving_variance + layer.epsilon)
    scale = scale * layer.gamma if layer.scale else scale
    shift = -layer.moving_mean * scale
    shift = shift + layer.beta if layer.center else shift
    return tf.stop_gradient(scale), tf.stop_gradient(shift)


def apply(layer: Any, inputs: list[tf.Tensor], training: bool) -> tf.Tensor:
    """A layer's output."""
    if isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.relu:
        return tf.nn.relu(inputs[0])
    if isinstance(layer, keras.layers.Add) and len(inputs) == 2:
        return tf.add(*inputs)
    if isinstance(layer, keras.layers.Dropout):
        return layer(inputs[0], training=training)
    if isinstance(layer, keras.layers.BatchNormalization):
        return layer(inputs[0], training=False)
    return layer(inputs if len(inputs) > 1 else inputs[0])
