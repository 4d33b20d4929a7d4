"""A network with each batch normalization folded into the convolution before it, run as plain TensorFlow operations.

A batch normalization in inference mode multiplies and shifts each channel by fixed numbers, which a convolution can
do by itself with other weights. The outcome is the same to about 1e-6, and a CPU is spared a pass over the memory.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf


@dataclass(frozen=True)
class Convolution:
    """A convolution that has not been run yet, since a batch normalization after it changes its weights."""

    value: tf.Tensor
    kernel: tf.Tensor
    bias: tf.Tensor | None
    strides: tuple[int, int]
    padding: Any

    def run(self) -> tf.Tensor:
        """Its output."""
        output = tf.nn.conv2d(self.value, self.kernel, self.strides, self.padding)
        return output if self.bias is None else tf.nn.bias_add(output, self.bias)


@dataclass(frozen=True)
class Padded:
    """A value and the zeros to put around it, which a convolution after it does by itself."""

    value: tf.Tensor
    padding: list[list[int]]  # before and after, in each dimension, as TensorFlow takes it

    def run(self) -> tf.Tensor:
        """The value with its zeros."""
        return tf.pad(self.value, self.padding)


Value = tf.Tensor | Convolution | Padded


def fold(network: keras.Model, fixed: bool = True) -> Callable[..., list[tf.Tensor]]:
    """A function of an input batch, and of `training`, that gives the network's outputs as a list.

    With `fixed` the weights are folded once, now; without, each call folds the variables as they are then, so that
    gradients reach them. Batch normalization is in inference mode in any case, as it must be. A layer of a kind that
    is not known here is called as it is.
    """
    config = network.get_config()
    layers = [(network.get_layer(each["name"]), list(names_in(each["inbound_nodes"]))) for each in config["layers"]]
    (input_name,) = {name for name, *_ in tensors_in(config["input_layers"])}
    output_names = [name for name, *_ in tensors_in(config["output_layers"])]
    readers = Counter(name for _, sources in layers for name in sources) + Counter(output_names)

    def run(batch: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        values: dict[str, Value] = {input_name: batch}
        for layer, sources in layers:
            if sources:
                # What several layers read is computed once, and not put off into each of them.
                inputs = [values[name] if readers[name] == 1 else settle(values, name) for name in sources]
                values[layer.name] = apply(layer, inputs, training, fixed)
        return [settle(values, name) for name in output_names]

    return run


def tensors_in(nested: Any) -> Iterator[list[Any]]:
    """The [layer name, node, output] triples in a part of a network's config."""
    if isinstance(nested, (list, tuple)) and len(nested) == 3 and isinstance(nested[0], str):
        yield list(nested)
    elif isinstance(nested, dict):
        yield from tensors_in(nested.get("keras_history") or list(nested.values()))
    elif isinstance(nested, (list, tuple)):
        for each in nested:
            yield from tensors_in(each)


def names_in(nested: Any) -> Iterator[str]:
    """The names of the layers that a layer reads."""
    return (name for name, *_ in tensors_in(nested))


def settle(values: dict[str, Value], name: str) -> tf.Tensor:
    """A layer's output as a tensor, computed now if it had been put off."""
    if isinstance(values[name], Convolution | Padded):
        values[name] = values[name].run()
    return values[name]


def apply(layer: keras.Layer, inputs: list[Value], training: bool, fixed: bool) -> Value:
    """A layer's output, or what it needs where that is put off."""
    first = inputs[0]
    if is_plain_convolution(layer):
        padding = layer.padding.upper()
        if isinstance(first, Padded) and padding == "VALID":
            first, padding = first.value, first.padding
        with weights(fixed):
            kernel = tf.convert_to_tensor(layer.kernel)
            bias = tf.convert_to_tensor(layer.bias) if layer.use_bias else None
        return Convolution(tensor(first), kernel, bias, layer.strides, padding)
    if isinstance(layer, keras.layers.BatchNormalization) and layer.axis in (-1, 3):
        return normalize(layer, first, fixed)
    if isinstance(layer, keras.layers.ZeroPadding2D) and layer.data_format == "channels_last":
        return Padded(tensor(first), [[0, 0], *map(list, layer.padding), [0, 0]])
    tensors = [tensor(value) for value in inputs]
    if isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.relu:
        return tf.nn.relu(tensors[0])
    if isinstance(layer, keras.layers.Add) and len(tensors) == 2:
        return tf.add(*tensors)
    if isinstance(layer, keras.layers.Dropout):
        return layer(tensors[0], training=training)
    return layer(tensors if len(tensors) > 1 else tensors[0])


def weights(fixed: bool) -> AbstractContextManager:
    """Where weights are computed: fixed ones before the function around it is compiled, others in each of its calls."""
    return tf.init_scope() if fixed else nullcontext()


def is_plain_convolution(layer: keras.Layer) -> bool:
    """Whether a layer is a convolution that `Convolution` can stand for."""
    return (
        isinstance(layer, keras.layers.Conv2D)
        and layer.groups == 1
        and layer.dilation_rate == (1, 1)
        and layer.data_format == "channels_last"
        and layer.activation is keras.activations.linear
        and layer.padding in ("valid", "same")
    )


def normalize(layer: keras.layers.BatchNormalization, value: Value, fixed: bool) -> Value:
    """A batch normalization in inference mode, folded into the convolution before it if there is one."""
    with weights(fixed):
        scale = tf.math.rsqrt(layer.moving_variance + layer.epsilon)
        scale = scale * layer.gamma if layer.scale else scale
        shift = -layer.moving_mean * scale
        shift = shift + layer.beta if layer.center else shift
        if isinstance(value, Convolution):
            bias = shift if value.bias is None else value.bias * scale + shift
            return replace(value, kernel=value.kernel * scale, bias=bias)
    return tensor(value) * scale + shift


def tensor(value: Value) -> tf.Tensor:
    """A value as a tensor."""
    return value.run() if isinstance(value, Convolution | Padded) else value
