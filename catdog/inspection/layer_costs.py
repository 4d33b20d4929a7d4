"""The layers that a classifier of this program consists of: which settings each may have, and what it would cost.

Told without Keras, from what stands in a file that anyone may have written.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

MOST_CHANNELS = 1 << 16
MOST_PIXELS = 64  # of a kernel, a stride, a margin, on one side

ACTIVATIONS = ("linear", "relu", "relu6", "elu", "gelu", "silu", "swish", "tanh", "sigmoid", "softmax")
# What a setting may be that isn't a plain value: by how its name ends, whose objects, and which.
OBJECTS = {
    "_initializer": (
        "keras.initializers",
        *("Zeros", "Ones", "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling"),
        *("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform"),
    ),
    "_regularizer": ("keras.regularizers", "L1", "L2", "L1L2"),
}

Shape = tuple[int, ...]  # of a photo on its way: (rows, columns, channels), or (channels,) once it was pooled


class Unfit(Exception):
    """Says what is wrong with a classifier's file: a sentence that its name begins and the way out ends."""

    def __init__(self, problem: str, way_out: str = "choose a .keras or .h5 file that this program wrote"):
        super().__init__(problem)
        self.way_out = way_out


class Made(NamedTuple):
    """What a layer makes of one photo, its parameters, and its multiplications."""

    shape: Shape
    parameters: int = 0
    operations: int = 0


class LayerSettings:
    """The settings of a layer, each taken out as what it must be; raises `Unfit` for one that can't be."""

    def __init__(self, name: str, settings: dict[str, Any]):
        self.name = name
        self.left = dict(settings)

    def refuse(self, key: str, value: Any) -> Unfit:
        """What is raised for a value that can't be."""
        return Unfit(f"has a layer {self.name} with {shown(value)} for {shown(key)}, which is not allowed")

    def take(self, key: str, default: Any, *allowed: Any) -> Any:
        """One of these values, the default where nothing is said."""
        value = self.left.pop(key, default)
        # An equal of another type would be let through: True is 1.
        if not any(type(value) is type(each) and value == each for each in allowed):
            raise self.refuse(key, value)
        return value

    def whole(self, key: str, most: int, default: int | None = None) -> int:
        """A whole number from 1 on."""
        value = self.left.pop(key, default)
        if not is_whole(value) or not 1 <= value <= most:
            raise self.refuse(key, value)
        return value

    def pair(self, key: str, default: int | None = None) -> tuple[int, int]:
        """A whole number from 1 on for rows and columns each."""
        value = self.left.pop(key, default)
        both = [value, value] if is_whole(value) else value
        if not isinstance(both, list) or len(both) != 2 or not all(is_whole(each, 1, MOST_PIXELS) for each in both):
            raise self.refuse(key, value)
        return both[0], both[1]

    def numbers(self, key: str) -> None:
        """A number, or one for each colour."""
        value = self.left.pop(key, None)
        each = value if isinstance(value, list) else [value]
        if len(each) not in (1, 3) or not all(is_number(number) for number in each):
            raise self.refuse(key, value)

    def nothing_else(self) -> None:
        """What is left must be of no weight: nulls, switches, fractions, and ways to begin or to hold back learning."""
        for key, value in self.left.items():
            fits = value is None or isinstance(value, bool) or is_number(value, 1.0)
            fits = fits or (key == "seed" and is_whole(value))
            for ending, (module, *names) in OBJECTS.items():
                fits = fits or (key.endswith(ending) and is_object(value, module, names))
            if not fits:
                raise self.refuse(key, value)


def shown(value: Any) -> str:
    """Something from a file as a short piece of a sentence."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_whole(value: Any, low: int = 0, high: int = 1 << 40) -> bool:
    """Whether it is a whole number in these bounds."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_number(value: Any, most: float = 1e9) -> bool:
    """Whether it is a number of at most this size."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= most


def is_object(value: Any, module: str, names: Sequence[str]) -> bool:
    """Whether it is one of a module's objects in Keras's own form, with settings that are plain values."""
    if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
        return False
    known = {"module", "class_name", "config", "registered_name", "shared_object_id"}
    plain = all(each is None or isinstance(each, (bool, int, float, str)) for each in value["config"].values())
    named = value.get("module") == module and value.get("class_name") in names
    return plain and named and value.get("registered_name") is None and value.keys() <= known


def convolved(size: int, kernel: int, stride: int, padding: str, dilation: int = 1) -> int:
    """How many places a kernel takes along a side."""
    if padding == "same":
        return math.ceil(size / stride)
    places = (size - dilation * (kernel - 1) - 1) // stride + 1
    if places < 1:
        raise Unfit("has a network whose photos shrink to nothing")
    return places


def conv2d(settings: LayerSettings, shape: Shape) -> Made:
    """A convolution over rows and columns."""
    rows, columns, channels = image(settings, shape)
    filters = settings.whole("filters", MOST_CHANNELS)
    kernel, strides = settings.pair("kernel_size"), settings.pair("strides", 1)
    dilation, groups = settings.pair("dilation_rate", 1), settings.whole("groups", MOST_CHANNELS, 1)
    padding = settings.take("padding", "valid", "valid", "same")
    settings.take("activation", "linear", *ACTIVATIONS)
    if channels % groups or filters % groups:
        raise settings.refuse("groups", groups)
    rows = convolved(rows, kernel[0], strides[0], padding, dilation[0])
    columns = convolved(columns, kernel[1], strides[1], padding, dilation[1])
    weights = kernel[0] * kernel[1] * (channels // groups) * filters
    return Made((rows, columns, filters), weights + filters, rows * columns * weights)


def dense(settings: LayerSettings, shape: Shape) -> Made:
    """A layer of units that each look at every channel."""
    units = settings.whole("units", MOST_CHANNELS)
    settings.take("activation", "linear", *ACTIVATIONS)
    if len(shape) != 1:
        raise Unfit(f"has a layer {settings.name} of the kind Dense before the photo was pooled")
    return Made((units,), shape[0] * units + units, shape[0] * units)


def batch_normalization(settings: LayerSettings, shape: Shape) -> Made:
    """Four numbers for each channel."""
    settings.take("axis", -1, -1, len(shape), [len(shape)])
    return Made(shape, 4 * shape[-1], math.prod(shape))


def max_pooling2d(settings: LayerSettings, shape: Shape) -> Made:
    """The largest of neighbouring places."""
    rows, columns, channels = image(settings, shape)
    pool = settings.pair("pool_size", 2)
    strides = settings.pair("strides") if settings.left.get("strides") is not None else pool
    padding = settings.take("padding", "valid", "valid", "same")
    rows, columns = (convolved(*sides, padding) for sides in zip((rows, columns), pool, strides, strict=True))
    return Made((rows, columns, channels), 0, rows * columns * channels * pool[0] * pool[1])


def zero_padding2d(settings: LayerSettings, shape: Shape) -> Made:
    """A margin of zeros."""
    rows, columns, channels = image(settings, shape)
    given = settings.left.pop("padding", 1)
    sides = [given, given] if is_whole(given) else given
    if not isinstance(sides, list) or len(sides) != 2:
        raise settings.refuse("padding", given)
    added = []
    for side in sides:
        ends = [side, side] if is_whole(side) else side
        if not isinstance(ends, list) or len(ends) != 2 or not all(is_whole(end, 0, MOST_PIXELS) for end in ends):
            raise settings.refuse("padding", given)
        added.append(sum(ends))
    return Made((rows + added[0], columns + added[1], channels))


def global_average_pooling2d(settings: LayerSettings, shape: Shape) -> Made:
    """The mean over rows and columns."""
    settings.take("keepdims", False, False)
    return Made(image(settings, shape)[2:], 0, math.prod(shape))


def rescaling(settings: LayerSettings, shape: Shape) -> Made:
    """Other units for each colour."""
    if shape[-1] != 3:
        raise Unfit(f"has a layer {settings.name} of the kind Rescaling that gets no colours")
    settings.numbers("scale")
    settings.numbers("offset")
    return Made(shape, 0, math.prod(shape))


def activation(settings: LayerSettings, shape: Shape) -> Made:
    """A function of each number."""
    settings.take("activation", None, *ACTIVATIONS)
    return Made(shape, 0, math.prod(shape))


def softmax(settings: LayerSettings, shape: Shape) -> Made:
    """Probabilities."""
    settings.take("axis", -1, -1, [-1])
    return Made(shape, 0, math.prod(shape))


def unchanged(settings: LayerSettings, shape: Shape) -> Made:
    """What gives the shape that it got: a sum, and dropout."""
    settings.take("noise_shape", None, None)
    return Made(shape, 0, math.prod(shape))


def image(settings: LayerSettings, shape: Shape) -> Shape:
    """The shape of what still has rows and columns, with the channels last."""
    settings.take("data_format", "channels_last", "channels_last", None)
    if len(shape) != 3:
        raise Unfit(f"has a layer {settings.name} that needs rows and columns where there are none")
    return shape


# The layers that classifiers of this program consist of.
LAYERS: dict[str, Callable[[LayerSettings, Shape], Made]] = {
    "Rescaling": rescaling,
    "ZeroPadding2D": zero_padding2d,
    "Conv2D": conv2d,
    "BatchNormalization": batch_normalization,
    "Activation": activation,
    "MaxPooling2D": max_pooling2d,
    "Add": unchanged,
    "GlobalAveragePooling2D": global_average_pooling2d,
    "Dropout": unchanged,
    "Dense": dense,
    "Softmax": softmax,
}
