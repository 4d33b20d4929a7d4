"""ResNet-50: where its weights come from, the form they are kept in, its stages, and the cut between them."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from filelock import FileLock, Timeout

from catdog.errors import Failed, Refused, Stopped, ran_out_of_memory
from catdog.files.downloads import fetch
from catdog.files.whole_files import draft_of
from catdog.network.backbone_files import STARTER_FILE, imagenet_file, last_layers, stages_of_layers
from catdog.network.plain_files import save_plainly
from catdog.settings import STAGES, check_backbone_name

# Published by Keras with this hash: keras/src/applications/resnet.py, WEIGHTS_HASHES["resnet50"].
IMAGENET_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/"
    "resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
IMAGENET_MD5 = "4d473c1dd8becc155b73f8504c6f6626"
# What `preprocess_input` of keras.applications.resnet subtracts, here in the order red, green, blue.
CHANNEL_MEANS = (123.68, 116.779, 103.939)
WAY_OUT = (
    "connect to the internet, name a mirror of the file in CATDOG_WEIGHTS_URL, "
    "or choose the starter or a backbone file as the backbone."
)


@dataclass(frozen=True)
class Backbone:
    """A loaded network without its head, the name and digest it is known by, and a note on how it was chosen."""

    name: str
    model: keras.Model
    digest: str
    note: str = ""


def load_backbone(
    source: str,
    on_progress: Callable[[int, int | None], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Backbone:
    """The backbone of a name in BACKBONES or of a file's path.

    Raises `Refused` for a file that is none, `Failed` where ImageNet's weights can't be fetched.
    """
    note = ""
    if source == "auto":
        try:
            why = "lies in the cache" if imagenet_file().exists() else "could be downloaded"
            source, path = "imagenet", fetch_imagenet(on_progress, should_stop)
            note = f"auto took the ImageNet backbone, which {why}."
        except Failed as error:
            source, path = "starter", STARTER_FILE
            note = f"auto took the starter backbone, since ImageNet's can't be had: {error}"
    elif source == "imagenet":
        path = fetch_imagenet(on_progress, should_stop)
    elif source == "starter":
        path = STARTER_FILE
    else:
        path = Path(source)
    try:
        model = load_backbone_file(path)
    except Refused:
        if source != "imagenet":
            raise
        # A file of the cache is nobody's own: what is damaged is fetched again.
        path.unlink(missing_ok=True)
        model = load_backbone_file(fetch_imagenet(on_progress, should_stop))
    return Backbone(source, model, digest_weights(model), note)


def digest_weights(model: keras.Model) -> str:
    """The SHA-256 of all weights with their names: the same for two files of the same network."""
    digest = hashlib.sha256()
    for variable in model.variables:
        digest.update(variable.path.encode())
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def load_backbone_file(path: Path) -> keras.Model:
    """The network in a backbone file; raises `Refused` with what is wrong with it."""
    check_backbone_name(str(path))
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever it meets in a file that isn't its own.
        if ran_out_of_memory(error):
            raise Failed(f"There was not enough memory to load {path}: end something else first.") from None
        raise Refused(f"{path} is not a backbone file that Keras can load ({type(error).__name__}).") from None
    problem = find_problem(model)
    if problem:
        raise Refused(f"{path} is not a ResNet-50 backbone: {problem}.")
    return model


def find_problem(model: keras.Model) -> str | None:
    """What keeps a model from being a backbone, or None."""
    if not isinstance(model, keras.Model) or len(model.inputs) != 1 or len(model.outputs) != 1:
        return "it has not one input and one output"
    if len(model.inputs[0].shape) != 4 or model.inputs[0].shape[-1] != 3:
        return f"its input is {model.inputs[0].shape}, not (height, width, 3) per photo"
    if len(model.outputs[0].shape) != 4:
        return "its output is not a feature map; save it without its top layers"
    try:
        stage_ends(model)
    except ValueError as error:
        return str(error)
    return None


def stage_ends(model: keras.Model) -> dict[str, str]:
    """The name of each stage's last layer; raises `ValueError` where a stage is missing."""
    return last_layers([layer.name for layer in model.layers])


def set_trainable(model: keras.Model, freeze_depth: str) -> None:
    """Let the stages after the freeze depth learn, and no batch normalization anywhere.

    A batch normalization with `trainable=False` stays in inference mode even while the network trains.
    """
    first_learning = 0 if freeze_depth == "none" else STAGES.index(freeze_depth) + 1
    for name, stage in stages_of_layers([layer.name for layer in model.layers]).items():
        layer = model.get_layer(name)
        layer.trainable = stage >= first_learning and not isinstance(layer, keras.layers.BatchNormalization)


def fetch_imagenet(
    on_progress: Callable[[int, int | None], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """The ImageNet backbone's file in the cache, downloaded and brought to our form if it isn't there yet.

    Raises `Failed` with the ways out where it can't be had.
    """
    kept = imagenet_file()
    folder = kept.parent
    if kept.exists():
        return kept
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Whoever comes second waits here, and finds the file.
        while not take(lock):
            if should_stop and should_stop():
                raise Stopped("Stopped while another process was fetching the ImageNet weights.")
    except OSError as error:
        raise Failed(f"The cache folder {folder} can't be written ({error.strerror}): {WAY_OUT}") from None
    try:
        return kept if kept.exists() else download_imagenet(kept, on_progress, should_stop)
    finally:
        lock.release()


def take(lock: FileLock) -> bool:
    """Whether the lock could be had within half a second."""
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        return False
    return True


def download_imagenet(
    kept: Path,
    on_progress: Callable[[int, int | None], None] | None,
    should_stop: Callable[[], bool] | None,
) -> Path:
    """Download the published weights, and leave them as a backbone in the file to keep, which is returned."""
    download = fetch(
        os.environ.get("CATDOG_WEIGHTS_URL") or IMAGENET_URL,
        kept.with_name("resnet50_imagenet_notop.h5"),
        what="The ImageNet weights",
        md5=IMAGENET_MD5,
        way_out=WAY_OUT,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    try:
        with draft_of(kept) as draft:
            save_plainly(convert_imagenet(download), draft)
    except Exception as error:
        kind = type(error).__name__
        raise Failed(f"The ImageNet weights in {download} can't be brought to a backbone ({kind}).") from None
    download.unlink()
    return kept


def published_network() -> keras.Model:
    """A ResNet-50 of Keras's published form whose input is RGB from 0 to 255, its weights drawn by chance."""
    image = keras.Input((None, None, 3), name="image")
    centred = keras.layers.Rescaling(1.0, offset=[-mean for mean in CHANNEL_MEANS], name="subtract_mean")(image)
    published = keras.applications.ResNet50(weights=None, include_top=False, input_tensor=centred)
    return keras.Model(published.inputs[0], published.output, name="resnet50")


def convert_imagenet(weights: Path) -> keras.Model:
    """Keras's published ResNet-50 weights without top, as a backbone that takes RGB from 0 to 255 itself."""
    backbone = published_network()
    backbone.load_weights(weights)
    first = backbone.get_layer("conv1_conv")
    kernel, bias = first.get_weights()
    # The published kernel reads blue, green, red.
    first.set_weights([kernel[:, :, ::-1, :], bias])
    return backbone
