"""How a network is described in a Keras file so that older versions read it, too: by what decides its numbers.

Keras writes each setting of each layer, and refuses a file with one that it doesn't know. So whatever a version adds,
by default and without any effect, is refused by all versions before: `input_axes` of initializers (3.15), `renorm` of
batch normalization (3.14), `quantization_config` of dense layers (3.13), `optional` of inputs. For what is left out
here each version has its own default, with which the same numbers come out.
"""

from typing import Any

Plan = dict[str, Any]

# The settings of each kind of layer that decide what it computes.
DECISIVE = {
    "InputLayer": ("batch_shape",),
    "Rescaling": ("scale", "offset"),
    "ZeroPadding2D": ("padding", "data_format"),
    "Conv2D": (
        *("filters", "kernel_size", "strides", "padding", "data_format"),
        *("dilation_rate", "groups", "activation", "use_bias"),
    ),
    "BatchNormalization": ("axis", "momentum", "epsilon", "center", "scale"),
    "Activation": ("activation",),
    "MaxPooling2D": ("pool_size", "strides", "padding", "data_format"),
    "Add": (),
    "GlobalAveragePooling2D": ("data_format", "keepdims"),
    "Dropout": ("rate",),
    "Dense": ("units", "activation", "use_bias"),
    "Softmax": ("axis",),
}
# What says how weights begin or are held back, which nobody asks of weights that are there.
OF_LEARNING = ("_regularizer", "_constraint")
ENDS = ("input_layers", "output_layers")


def is_plain(plan: Plan) -> bool:
    """Whether a network consists of known layers in float32 alone, of which nothing is lost that matters."""
    if plan.get("class_name") != "Functional":
        return False
    return all(is_plain_layer(layer) for layer in plan["config"]["layers"])


def is_plain_layer(layer: Plan) -> bool:
    """Whether a layer is Keras's own, computes in float32, and holds nothing back while it learns."""
    config = layer["config"]
    kind = config.get("dtype")
    if isinstance(kind, dict) and kind.get("class_name") == "DTypePolicy":
        kind = kind["config"]["name"]
    held_back = [value for key, value in config.items() if key.endswith(OF_LEARNING) and value is not None]
    named = layer["class_name"] in DECISIVE and layer.get("registered_name") in (None, layer["class_name"])
    return named and kind == "float32" and not held_back


def plain_plan(plan: Plan) -> Plan:
    """A plan as Keras 3 writes it, less what older versions of it refuse; the same plan where it isn't plain."""
    if not is_plain(plan):
        return plan
    config = plan["config"]
    layers = [{**layer, "config": plain_config(layer)} for layer in config["layers"]]
    return {**plan, "config": {**config, "layers": layers}}


def plain_config(layer: Plan) -> Plan:
    """The settings of a layer that decide what it computes, with its name."""
    config = layer["config"]
    kept = ("name", "trainable", *DECISIVE[layer["class_name"]])
    return {**{key: config[key] for key in kept if key in config}, "dtype": "float32"}


def keras_2_plan(plan: Plan) -> Plan:
    """The same network in the form of Keras 2, which Keras 3 reads from `.h5` files as well; the plan if not plain."""
    if not is_plain(plan):
        return plan
    plan = plain_plan(plan)
    config = plan["config"]
    layers = [
        {
            "class_name": layer["class_name"],
            "config": keras_2_config(layer),
            "name": layer["name"],
            "inbound_nodes": [keras_2_call(node) for node in layer["inbound_nodes"]],
        }
        for layer in config["layers"]
    ]
    # A list of ends even where there is one. Keras 3 takes that at its word, and then has lists as `input`, `output`.
    ends = {key: config[key] if isinstance(config[key][0], list) else [config[key]] for key in ENDS}
    return {"class_name": "Functional", "config": {**config, "layers": layers, **ends}}


def keras_2_config(layer: Plan) -> Plan:
    """A layer's settings by the names that Keras 2 gives them."""
    config = plain_config(layer)
    if layer["class_name"] == "InputLayer":
        config["batch_input_shape"] = config.pop("batch_shape")
    return config


def keras_2_call(node: Plan) -> list[list[Any]]:
    """Which layers' outputs a call takes, each with the call's switches, as Keras 2 writes it."""
    (given,) = node["args"]
    switches = {key: value for key, value in node["kwargs"].items() if value is not None}
    tensors = given if isinstance(given, list) else [given]
    return [[*tensor["config"]["keras_history"], switches] for tensor in tensors]
