"""The plan of a network in a classifier's file: whether it consists of known layers alone, and what they would cost.

It is read without Keras, since Keras makes what a plan asks for before it looks at any weights: one line of it can ask
for more memory than there is, or for a layer that runs code.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from catdog.inspection.layer_costs import LAYERS, LayerSettings, Made, Shape, Unfit, is_object, is_whole, shown
from catdog.settings import SETTINGS

# A classifier on ResNet-152 has 520 layers and 58 million numbers; for one photo of 512 pixels it takes 59 thousand
# million multiplications. One on ResNet-50 takes 21.5 thousand million, and holds 12.6 million numbers at a time.
MOST_LAYERS = 2_000
MOST_PARAMETERS = 75_000_000
MOST_OPERATIONS = 100_000_000_000
MOST_VALUES = 16_000_000
MOST_SUMMANDS = 8

LAYER_NAME = re.compile(r"[\w.-]{1,100}")


@dataclass(frozen=True)
class Cost:
    """What a network takes: its parameters, and for one photo the multiplications and the numbers held at a time."""

    parameters: int
    operations: int
    values: int


def check_plan(plan: Any, image_size: int | None) -> Cost:
    """The cost of the network that Keras would make of a plan, for photos of that size where it doesn't say itself.

    Raises `Unfit` where the plan isn't that of such a network as this program trains, or the network is too large.
    """
    layers, last = layers_of(plan)
    sources = [inputs_of(layer) for layer in layers]
    waiting = Counter(name for names in sources for name in names)
    waiting[last] += 1
    shapes: dict[str, Shape] = {}
    parameters = operations = held = most_held = 0
    for layer, names in zip(layers, sources, strict=True):
        unknown = [name for name in names if name not in shapes]
        if layer["name"] in shapes or unknown:
            raise Unfit(f"has a network whose layers don't follow one another, at {shown(layer['name'])}")
        found = made(layer, [shapes[name] for name in names], image_size)
        shapes[layer["name"]] = found.shape
        parameters += found.parameters
        operations += found.operations
        held += math.prod(found.shape)
        most_held = max(most_held, held)
        if parameters > MOST_PARAMETERS or operations > MOST_OPERATIONS or most_held > MOST_VALUES:
            raise Unfit("holds a network larger than any that this program makes")
        waiting.subtract(names)
        # What nobody waits for any longer is let go.
        held -= sum(math.prod(shapes[name]) for name in {*names, layer["name"]} if waiting[name] == 0)
    if last not in shapes:
        raise Unfit(f"has a network that ends with a layer it doesn't have, {shown(last)}")
    return Cost(parameters, operations, most_held)


def layers_of(plan: Any) -> tuple[list[dict[str, Any]], str]:
    """The layers of a plan, each a dict with a name, and the name of the last."""
    kind = plan.get("class_name") if isinstance(plan, dict) else None
    config = plan.get("config") if isinstance(plan, dict) else None
    modules = (None, "keras", "keras.models", "keras.src.models.functional")
    names = (None, "Functional")
    if kind != "Functional" or plan.get("module") not in modules or plan.get("registered_name") not in names:
        raise Unfit(f"holds a network of the kind {shown(kind)}, which no classifier of this program is")
    known = {"name", "trainable", "layers", "input_layers", "output_layers"}
    layers = config.get("layers") if isinstance(config, dict) and config.keys() <= known else None
    if layers and not (is_name(config.get("name")) and isinstance(config.get("trainable", True), bool)):
        raise Unfit("describes its network in an unknown way")
    if not isinstance(layers, list) or not layers or not all(isinstance(layer, dict) for layer in layers):
        raise Unfit("doesn't say which layers its network has")
    if len(layers) > MOST_LAYERS:
        raise Unfit(f"has a network of {len(layers):,} layers, and {MOST_LAYERS:,} are the most")
    ends = [end_of(config.get(key)) for key in ("input_layers", "output_layers")]
    inputs = [layer.get("name") for layer in layers if layer.get("class_name") == "InputLayer"]
    if None in ends or inputs != [layers[0].get("name")] or ends[0] != inputs[0]:
        raise Unfit("has a network that doesn't lead from one input to one output")
    return layers, ends[1]


def is_name(name: Any) -> bool:
    """Whether it is the name of a network or a layer."""
    return isinstance(name, str) and LAYER_NAME.fullmatch(name) is not None


def end_of(given: Any) -> str | None:
    """The name of a network's one input or output."""
    reference = given[0] if isinstance(given, list) and len(given) == 1 else given
    right = isinstance(reference, list) and reference[1:] == [0, 0] and isinstance(reference[0], str)
    return reference[0] if right else None


def inputs_of(layer: dict[str, Any]) -> list[str]:
    """The names of the layers that a layer reads, as often as it does; raises `Unfit` for what isn't a plain call."""
    nodes = layer.get("inbound_nodes")
    problem = Unfit(f"has a layer {shown(layer.get('name'))} that isn't called as layers of a classifier are")
    if layer.get("class_name") == "InputLayer":
        if nodes != []:
            raise problem
        return []
    node = nodes[0] if isinstance(nodes, list) and len(nodes) == 1 else None
    if isinstance(node, list):
        return read_calls(layer, node, problem)
    if not isinstance(node, dict):
        raise problem
    arguments, switches = node.get("args"), node.get("kwargs")
    if not are_switches(switches):
        raise problem
    if node.keys() != {"args", "kwargs"} or not isinstance(arguments, list) or len(arguments) != 1:
        raise problem
    tensors = arguments[0] if layer.get("class_name") == "Add" else arguments
    if not isinstance(tensors, list) or not 1 <= len(tensors) <= MOST_SUMMANDS:
        raise problem
    return [read_tensor(tensor, problem) for tensor in tensors]


def are_switches(given: Any) -> bool:
    """Whether it is what a call may be given besides tensors."""
    return isinstance(given, dict) and all(each is None or isinstance(each, bool) for each in given.values())


def read_calls(layer: dict[str, Any], calls: list[Any], problem: Unfit) -> list[str]:
    """The names of the layers that a layer reads, from a call as Keras 2 writes it: [name, 0, 0, switches] each."""
    most = MOST_SUMMANDS if layer.get("class_name") == "Add" else 1
    if not 1 <= len(calls) <= most:
        raise problem
    names = [end_of(call[:3]) if isinstance(call, list) and len(call) == 4 else None for call in calls]
    if None in names or not all(are_switches(call[3]) for call in calls):
        raise problem
    return names


def read_tensor(tensor: Any, problem: Unfit) -> str:
    """The name of the layer whose output a call's argument is."""
    config = tensor.get("config") if isinstance(tensor, dict) else None
    if not isinstance(config, dict) or tensor.keys() != {"class_name", "config"}:
        raise problem
    source, shape = end_of(config.get("keras_history")), config.get("shape")
    known = config.keys() == {"shape", "dtype", "keras_history"} and config["dtype"] == "float32"
    plain = isinstance(shape, list) and all(number is None or is_whole(number) for number in shape)
    if tensor["class_name"] != "__keras_tensor__" or source is None or not known or not plain:
        raise problem
    return source


def made(layer: dict[str, Any], shapes: list[Shape], image_size: int | None) -> Made:
    """What a layer makes of inputs of these shapes; raises `Unfit` where it is none of LAYERS or has odd settings."""
    kind, name, config = layer.get("class_name"), layer.get("name"), layer.get("config")
    if kind != "InputLayer" and (not isinstance(kind, str) or kind not in LAYERS):
        raise Unfit(f"has a layer of the kind {shown(kind)}, which no classifier of this program has")
    if layer.get("module", "keras.layers") != "keras.layers" or layer.get("registered_name") not in (None, kind):
        whose = layer.get("registered_name") or layer.get("module")
        raise Unfit(f"has a layer of the kind {kind} that is not Keras's own but {shown(whose)}")
    known = {"module", "class_name", "config", "registered_name", "build_config", "name", "inbound_nodes"}
    if not is_name(name) or not isinstance(config, dict) or config.get("name") != name or not layer.keys() <= known:
        raise Unfit(f"has a layer {shown(name)} that is described in an unknown way")
    settings = LayerSettings(name, config)
    settings.left.pop("name")
    settings.take("trainable", True, True, False)
    check_type(settings)
    if kind == "InputLayer":
        found = read_input(settings, image_size)
    elif len(set(shapes)) != 1:
        raise Unfit(f"has a layer {name} that adds what isn't of one shape")
    else:
        found = LAYERS[kind](settings, shapes[0])
    settings.nothing_else()
    # Keras builds a layer for the shape that stands here, whatever it is then called with.
    if not builds(layer.get("build_config"), shapes):
        raise Unfit(f"has a layer {name} that is built for another shape than it gets")
    return found


def check_type(settings: LayerSettings) -> None:
    """A layer computes in float32."""
    kind = settings.left.pop("dtype", "float32")
    if kind != "float32" and not (is_object(kind, "keras", ("DTypePolicy",)) and kind["config"] == {"name": "float32"}):
        raise settings.refuse("dtype", kind)


def read_input(settings: LayerSettings, image_size: int | None) -> Made:
    """The shape of the photos that a network takes."""
    shape = settings.left.pop("batch_input_shape", None) or settings.left.pop("batch_shape", None)
    size = image_size or SETTINGS["image_size"].default
    if isinstance(shape, list) and len(shape) == 4 and shape[1] is not None:
        size = shape[1]
    if shape not in ([None, size, size, 3], [None, None, None, 3]):
        raise Unfit(f"is not a classifier of photos, since its input is not (height, width, 3) but {shown(shape)}")
    bounds = SETTINGS["image_size"].metadata
    if not is_whole(size, bounds["low"], bounds["high"]):
        raise Unfit(f"takes photos of {shown(size)} pixels, and {bounds['low']} to {bounds['high']} are possible")
    return Made((size, size, 3))


def builds(build_config: Any, shapes: list[Shape]) -> bool:
    """Whether a layer is built for inputs of these shapes: one list of numbers, or one for each."""
    if build_config is None:
        return True
    given = build_config.get("input_shape") if isinstance(build_config, dict) and len(build_config) == 1 else None
    if not isinstance(given, list):
        return False
    each = given if given and isinstance(given[0], list) else [given]
    return len(each) == len(shapes) and all(map(fits, each, shapes))


def fits(given: list[Any], shape: Shape) -> bool:
    """Whether a shape with the batch in front, in which any number may be open, is this one."""
    return (
        isinstance(given, list)
        and len(given) == len(shape) + 1
        and given[-1] == shape[-1]
        and all(number is None or number == size for number, size in zip(given, (None, *shape), strict=True))
    )
