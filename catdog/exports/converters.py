"""A classifier written in each of the export formats; what it is and how to feed it travels inside the file."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from catdog.classifier.bundled_files import NOTICE_FILE
from catdog.classifier.prediction import Classifier
from catdog.classifier.saving import RESIZE, save_h5, save_keras
from catdog.files.json_files import write_json
from catdog.network.folded import fold
from catdog.runs.run_folder import INFO_FILE
from catdog.settings import BUNDLED

# The smallest weight arrays, which together are this share of all, stay float32 in a quantized export. They are the
# first stages', to whose rounding probabilities are most sensitive. On 200 photos the bundled classifier's differ by
# at most 0.013 instead of 0.091, in a file of 7.3 MB instead of 6.1 MB; an ImageNet one's by 0.016 instead of 0.132,
# in 28.6 MB instead of 23.9 MB. TensorFlow's own quantization offers no such choice.
FLOAT_SHARE = 0.08


def write(classifier: Classifier, format_name: str, quantize: bool, file: Path) -> None:
    """Write a classifier in one of the formats to a path where nothing is; only LiteRT can be quantized.

    Raises `OSError` where that can't be written.
    """
    about = describe(classifier, format_name, quantize)
    try:
        if format_name == "keras":
            save_keras(classifier.model, about, file)
        elif format_name == "h5":
            save_h5(classifier.model, about, file)
        elif format_name == "savedmodel":
            write_saved_model(classifier, about, file)
        elif format_name == "litert":
            write_litert(classifier, about, file, quantize)
        else:
            from catdog.exports.onnx_files import write_onnx

            write_onnx(classifier, about, file)
    except tf.errors.OpError as error:
        # What TensorFlow writes by itself, as a SavedModel; the path of the draft that it names is nobody's business.
        raise OSError(error.message.rpartition("; ")[2]) from None


def describe(classifier: Classifier, format_name: str, quantize: bool) -> dict[str, Any]:
    """The `classifier.json` of an export: the classifier's own, with what goes in and what comes out."""
    size, classes = classifier.image_size, len(classifier.class_names)
    kind = "float32 or uint8" if format_name in ("keras", "h5") else "uint8"
    about = {
        **classifier.info,
        "resize": RESIZE,
        "input": f"RGB from 0 to 255, {kind} (n, {size}, {size}, 3)",
        "output": f"probabilities, float32 (n, {classes}), in the order of class_names",
        "quantized": quantize,
    }
    if about["backbone"] == BUNDLED:
        # The licence of the weights asks for it.
        about["notice"] = NOTICE_FILE.read_text(encoding="utf-8")
    return about


def pixels_of(classifier: Classifier) -> tf.TensorSpec:
    """The one input of an export: any number of photos, as they are decoded and resized."""
    return tf.TensorSpec((None, classifier.image_size, classifier.image_size, 3), tf.uint8, name="pixels")


def save_served(classifier: Classifier, folder: Path) -> None:
    """Write a SavedModel whose `serve` takes pixels to probabilities, each batch normalization folded away."""
    run = fold(classifier.model)

    @tf.function(input_signature=[pixels_of(classifier)])
    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": run(tf.cast(pixels, tf.float32))[0]}

    served = tf.Module()
    served.serve = serve
    # What isn't folded stays a variable, which is saved only where it is an attribute.
    served.kept = list(serve.get_concrete_function().graph.variables)
    tf.saved_model.save(served, str(folder), signatures=serve)


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
    """A LiteRT file's content with 8-bit weights but for the smallest arrays.

    What is multiplied by them is rounded anew for each batch, so that no photos are needed to find its range.
    """
    from litert_quantizer import Quantizer, recipe

    steps = recipe.dynamic_wi8_afp32()
    for step in steps:
        step["op_config"] = {**step["op_config"], "min_weight_elements": smallest_quantized(model)}
    found = Quantizer(content, steps).quantize(enable_progress_bar=False, enable_progress_report=False)
    return bytes(found.quantized_model)


def smallest_quantized(model: keras.Model) -> int:
    """How many elements a weight array has at least that is quantized, so that FLOAT_SHARE of all stay as they are."""
    sizes = np.sort([np.prod(weight.shape) for weight in model.weights if len(weight.shape) > 1])
    return int(sizes[np.searchsorted(sizes.cumsum(), FLOAT_SHARE * sizes.sum(), side="right")])
