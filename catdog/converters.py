"""A classifier written in each of the export formats; what it is and how to feed it travels inside the file."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from catdog.bundled import NOTICE_FILE
from catdog.classifier import RESIZE, Classifier, save_h5, save_keras
from catdog.folded import fold
from catdog.json_files import write_json
from catdog.runs import INFO_FILE
from catdog.settings import BUNDLED

ONNX_OPSET = 18  # the newest that tf2onnx 1.17 writes
# The smallest weight arrays, which together are this share of all, stay float32 in a quantized export. These are the
# first stages', to whose rounding probabilities are most sensitive: on 200 photos the bundled classifier's differ by
# 0.012 instead of 0.091, for a file of 7.3 MB instead of 6.1 MB, and as fast within a tenth.
FLOAT_SHARE = 0.08


def describe(classifier: Classifier, format_name: str, quantized: bool) -> dict[str, Any]:
    """The `classifier.json` of an export: the classifier's own, with what goes in and what comes out."""
    size, classes = classifier.image_size, len(classifier.class_names)
    about = {
        **classifier.info,
        "resize": RESIZE,
        "input": f"RGB from 0 to 255, (n, {size}, {size}, 3), "
        + ("float32 or uint8" if format_name in ("keras", "h5", "savedmodel") else "uint8"),
        "output": f"probabilities, float32 (n, {classes}), in the order of class_names",
        "quantized": quantized,
    }
    if about["backbone"] == BUNDLED:
        # The licence of the weights asks for it.
        about["notice"] = NOTICE_FILE.read_text(encoding="utf-8")
    return about


def write(classifier: Classifier, about: dict[str, Any], format_name: str, file: Path, quantize: bool) -> None:
    """Write a classifier in one of the formats to a path where nothing is; only LiteRT can be quantized."""
    if format_name == "keras":
        save_keras(classifier.model, about, file)
    elif format_name == "h5":
        save_h5(classifier.model, about, file)
    elif format_name == "savedmodel":
        write_saved_model(classifier, about, file)
    elif format_name == "litert":
        write_litert(classifier, about, file, quantize)
    else:
        write_onnx(classifier, about, file)


class Served(tf.Module):
    """What a SavedModel holds: `serve`, which takes a batch of pixels of either type to `probabilities`."""

    def __init__(self, classifier: Classifier):
        super().__init__()
        run = fold(classifier.model)

        @tf.function
        def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probabilities": run(tf.cast(pixels, tf.float32))[0]}

        self.serve = serve
        shape = (None, classifier.image_size, classifier.image_size, 3)
        self.traced = {kind: serve.get_concrete_function(pixels(shape, kind)) for kind in (tf.uint8, tf.float32)}
        # What isn't folded stays a variable, which is saved only where it is an attribute.
        self.kept = list(self.traced[tf.uint8].graph.variables)


def pixels(shape: tuple[int | None, ...], kind: tf.DType) -> tf.TensorSpec:
    """The one input of an export."""
    return tf.TensorSpec(shape, kind, name="pixels")


def save_served(classifier: Classifier, folder: Path) -> None:
    """Write a SavedModel whose signature takes uint8; its batch normalizations are folded into the convolutions."""
    served = Served(classifier)
    signature = served.traced.pop(tf.uint8)
    del served.traced
    tf.saved_model.save(served, str(folder), signatures=signature)


def write_saved_model(classifier: Classifier, about: dict[str, Any], folder: Path) -> None:
    """Write a SavedModel's folder, with the description where TensorFlow wants what isn't its own."""
    save_served(classifier, folder)
    (folder / "assets.extra").mkdir()
    write_json(folder / "assets.extra" / INFO_FILE, about)


def write_litert(classifier: Classifier, about: dict[str, Any], file: Path, quantize: bool) -> None:
    """Write a LiteRT file, with the description in a zip archive behind it, as LiteRT's own metadata tools do."""
    folder = file.with_name(f"{file.name}.saved_model")
    save_served(classifier, folder)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serving_default"])
    content = converter.convert()
    file.write_bytes(quantized(content, classifier.model) if quantize else content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(INFO_FILE, json.dumps(about))
        archive.writestr("labels.txt", "\n".join(classifier.class_names) + "\n")


def quantized(content: bytes, model: keras.Model) -> bytes:
    """A LiteRT file's content with 8-bit weights, but for the smallest; what they are multiplied by is rounded anew
    for each batch, so that no photos are needed to find its range.
    """
    from litert_quantizer import Quantizer, recipe

    steps = [dict(step) for step in recipe.dynamic_wi8_afp32()]
    for step in steps:
        step["op_config"] = {**step["op_config"], "min_weight_elements": smallest_quantized(model)}
    found = Quantizer(content, steps).quantize(enable_progress_bar=False, enable_progress_report=False)
    return bytes(found.quantized_model)


def smallest_quantized(model: keras.Model) -> int:
    """The elements from which on a weight array is quantized, so that FLOAT_SHARE of all stay as they are."""
    sizes = np.sort([np.prod(weight.shape) for weight in model.weights if len(weight.shape) > 1])
    return int(sizes[np.searchsorted(sizes.cumsum(), FLOAT_SHARE * sizes.sum(), side="right")])


def write_onnx(classifier: Classifier, about: dict[str, Any], file: Path) -> None:
    """Write an ONNX file, with the description in its metadata."""
    import onnx
    import tf2onnx

    spec = pixels((None, classifier.image_size, classifier.image_size, 3), tf.uint8)

    # Not folded: tf2onnx takes folded weights for inputs. ONNX Runtime folds them itself.
    @tf.function(input_signature=[spec])
    def run(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": classifier.model(tf.cast(pixels, tf.float32), training=False)}

    model, _ = tf2onnx.convert.from_function(run, input_signature=[spec], opset=ONNX_OPSET)
    onnx.helper.set_model_props(model, {INFO_FILE: json.dumps(about)})
    onnx.save(model, str(file))
