"""A classifier as an ONNX file, written layer by layer: its kinds of layers are few, and general converters take
several gigabytes for a network of this size.

ONNX keeps channels before rows and columns, so that pixels are turned first, and everything after that is so.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from catdog.classifier.prediction import Classifier
from catdog.errors import Refused
from catdog.network.folded import Convolution, fold_layers, read_graph
from catdog.runs.run_folder import INFO_FILE

# Old enough for every runtime of the last years (ONNX Runtime from 1.12 on), new enough for all that is written here.
OPSET, IR_VERSION = 17, 8
ACTIVATIONS = {"relu": "Relu", "softmax": "Softmax"}


@dataclass
class Graph:
    """The operations written so far, and the arrays that they read."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    arrays: list[onnx.TensorProto] = field(default_factory=list)

    def array(self, name: str, values: Any, kind: type = np.float32) -> str:
        """Keep an array under a name, which is returned."""
        # In C order, as a transposed view of weights is not.
        self.arrays.append(numpy_helper.from_array(np.array(values, kind, order="C"), name))
        return name

    def add(self, kind: str, inputs: list[str], name: str, output: str = "", **attributes: Any) -> str:
        """Append an operation, and return what its output is called, which no input of the whole graph is."""
        output = output or f"{name}/output"
        self.nodes.append(helper.make_node(kind, inputs, [output], name, **attributes))
        return output


def write_onnx(classifier: Classifier, about: dict[str, Any], file: Path) -> None:
    """Write an ONNX file that takes `pixels` to `probabilities`, its description in the metadata.

    Raises `Refused` where a layer is of a kind that a backbone and a head never have.
    """
    size, classes = classifier.image_size, len(classifier.class_names)
    graph = write_graph(classifier.model)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ("photos", size, size, 3))
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ("photos", classes))
    model = helper.make_model(
        helper.make_graph(graph.nodes, "cat_dog_classifier", [pixels], [probabilities], graph.arrays),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="catdog",
    )
    helper.set_model_props(model, {INFO_FILE: json.dumps(about)})
    onnx.checker.check_model(model)
    onnx.save(model, file)


def write_graph(model: keras.Model) -> Graph:
    """A network's operations, each batch normalization folded into the convolution before it."""
    network = read_graph(model)
    if network is None:
        raise Refused("This classifier is no plain graph of layers, which an onnx export takes: choose another format.")
    convolutions, passed_on = fold_layers(network)
    graph = Graph()
    floats = graph.add("Cast", ["pixels"], "floats", to=TensorProto.FLOAT)
    values = {network.input_name: graph.add("Transpose", [floats], "channels_first", perm=[0, 3, 1, 2])}
    for name, layer in network.layers.items():
        inputs = [values[source] for source in network.sources[name]]
        if name in passed_on:
            (values[name],) = inputs
        elif name in convolutions:
            values[name] = write_convolution(graph, name, convolutions[name], inputs)
        elif inputs:
            values[name] = writer_of(layer)(graph, name, layer, inputs)
    graph.add("Identity", [values[network.output_names[0]]], "answer", "probabilities")
    return graph


def writer_of(layer: Any) -> Callable[[Graph, str, Any, list[str]], str]:
    """The function that writes layers of this kind; raises `Refused` where there is none."""
    writer = WRITERS.get(type(layer))
    if writer is None or getattr(layer, "data_format", None) == "channels_first":
        what = f"the layer {layer.name} ({type(layer).__name__})"
        raise Refused(f"An onnx export can't hold {what} of this classifier: choose another format.")
    return writer


def write_convolution(graph: Graph, name: str, convolution: Convolution, inputs: list[str]) -> str:
    """A convolution with the zeros around its input and the normalization of its output."""
    kernel, bias = convolution.weights()
    inputs = [*inputs, graph.array(f"{name}/kernel", kernel.numpy().transpose(3, 2, 0, 1))]
    if bias is not None:
        inputs.append(graph.array(f"{name}/bias", bias.numpy()))
    strides = list(convolution.layer.strides)
    return graph.add("Conv", inputs, name, strides=strides, **padding_of(convolution.padding))


def padding_of(padding: str | list[list[int]]) -> dict[str, Any]:
    """TensorFlow's padding as ONNX has it."""
    if isinstance(padding, str):
        return {"auto_pad": "SAME_UPPER" if padding == "SAME" else "VALID"}
    (top, bottom), (left, right) = padding[1:3]
    return {"pads": [top, left, bottom, right]}


def write_rescaling(graph: Graph, name: str, layer: keras.layers.Rescaling, inputs: list[str]) -> str:
    """Each channel multiplied by its scale, and its offset added."""
    scale, offset = (np.reshape(values, (-1, 1, 1)) for values in (layer.scale, layer.offset))
    scaled = graph.add("Mul", [*inputs, graph.array(f"{name}/scale", scale)], f"{name}/scaled")
    return graph.add("Add", [scaled, graph.array(f"{name}/offset", offset)], name)


def write_zeros(graph: Graph, name: str, layer: keras.layers.ZeroPadding2D, inputs: list[str]) -> str:
    """Zeros around a picture."""
    (top, bottom), (left, right) = layer.padding
    sides = graph.array(f"{name}/sides", [0, 0, top, left, 0, 0, bottom, right], np.int64)
    return graph.add("Pad", [*inputs, sides], name)


def write_max_pooling(graph: Graph, name: str, layer: keras.layers.MaxPooling2D, inputs: list[str]) -> str:
    """The largest value of each window."""
    shape = {"kernel_shape": list(layer.pool_size), "strides": list(layer.strides)}
    return graph.add("MaxPool", inputs, name, **shape, **padding_of(layer.padding.upper()))


def write_mean(graph: Graph, name: str, layer: keras.layers.GlobalAveragePooling2D, inputs: list[str]) -> str:
    """The mean of each channel."""
    return graph.add("ReduceMean", inputs, name, axes=[2, 3], keepdims=int(layer.keepdims))


def write_normalization(graph: Graph, name: str, layer: keras.layers.BatchNormalization, inputs: list[str]) -> str:
    """A batch normalization that no convolution could take up."""
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    scale = layer.gamma.numpy() if layer.scale else np.ones_like(mean)
    shift = layer.beta.numpy() if layer.center else np.zeros_like(mean)
    values = {"scale": scale, "shift": shift, "mean": mean, "variance": variance}
    arrays = [graph.array(f"{name}/{part}", numbers) for part, numbers in values.items()]
    return graph.add("BatchNormalization", [*inputs, *arrays], name, epsilon=layer.epsilon)


def write_dense(graph: Graph, name: str, layer: keras.layers.Dense, inputs: list[str]) -> str:
    """A matrix product, and the activation after it."""
    inputs = [*inputs, graph.array(f"{name}/kernel", layer.kernel.numpy())]
    if layer.use_bias:
        inputs.append(graph.array(f"{name}/bias", layer.bias.numpy()))
    return write_activation(graph, name, layer, [graph.add("Gemm", inputs, f"{name}/product")])


def write_activation(graph: Graph, name: str, layer: Any, inputs: list[str]) -> str:
    """The activation of a layer."""
    kind = layer.activation.__name__
    if kind == "linear":
        return inputs[0]
    if kind not in ACTIVATIONS:
        raise Refused(f"An onnx export can't hold the activation {kind} of the layer {name}: choose another format.")
    # Where there are rows and columns, channels come before them.
    return graph.add(ACTIVATIONS[kind], inputs, name, **({"axis": 1} if kind == "softmax" else {}))


def write_sum(graph: Graph, name: str, layer: keras.layers.Add, inputs: list[str]) -> str:
    """The sum of all inputs."""
    *first, last = inputs
    so_far = reduce(lambda one, other: graph.add("Add", [one, other], f"{name}/{other}"), first)
    return graph.add("Add", [so_far, last], name)


def write_nothing(graph: Graph, name: str, layer: Any, inputs: list[str]) -> str:
    """What does something in training alone."""
    return inputs[0]


WRITERS: dict[type, Callable[[Graph, str, Any, list[str]], str]] = {
    keras.layers.Rescaling: write_rescaling,
    keras.layers.ZeroPadding2D: write_zeros,
    keras.layers.MaxPooling2D: write_max_pooling,
    keras.layers.GlobalAveragePooling2D: write_mean,
    keras.layers.BatchNormalization: write_normalization,
    keras.layers.Dense: write_dense,
    keras.layers.Activation: write_activation,
    keras.layers.Softmax: lambda graph, name, layer, inputs: graph.add("Softmax", inputs, name, axis=1),
    keras.layers.Add: write_sum,
    keras.layers.Dropout: write_nothing,
}
