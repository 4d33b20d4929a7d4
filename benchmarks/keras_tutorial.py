"""The tutorials' way, as Keras's own guide to transfer learning does it; prints its times and accuracies as JSON."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

BATCH_SIZE = 32
DROPOUT = 0.2


def build_parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--photos", type=Path, required=True, help="Folder of train/CLASS and validation/CLASS.")
    parser.add_argument("--backbone", type=Path, required=True, help="A backbone file.")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--head-epochs", type=int, default=10)
    parser.add_argument("--head-learning-rate", type=float, default=1e-3)
    parser.add_argument("--fine-tune-epochs", type=int, default=5)
    parser.add_argument("--fine-tune-learning-rate", type=float, default=1e-5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--warm-up", action="store_true", help="Take one batch through each phase before timing it.")
    return parser


def load_photos(folder: Path, image_size: int, seed: int, shuffle: bool) -> Any:
    """Photos and labels in batches, the next ones read while the network works."""
    import keras
    import tensorflow as tf

    photos = keras.utils.image_dataset_from_directory(
        folder,
        label_mode="categorical",
        image_size=(image_size, image_size),
        batch_size=BATCH_SIZE,
        shuffle=shuffle,
        seed=seed,
        verbose=False,
    )
    return photos.prefetch(tf.data.AUTOTUNE)


def build_model(backbone: Any, class_count: int, image_size: int) -> Any:
    """The frozen backbone, called in inference mode, with a new head."""
    import keras

    backbone.trainable = False
    photos = keras.Input((image_size, image_size, 3))
    x = backbone(photos, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(DROPOUT)(x)
    return keras.Model(photos, keras.layers.Dense(class_count, activation="softmax")(x))


def unfreeze_last_stage(backbone: Any) -> None:
    """Let conv5 learn, but not its batch normalization."""
    import keras

    backbone.trainable = True
    for layer in backbone.layers:
        normalizes = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name.startswith("conv5_") and not normalizes


def fit_phase(model: Any, learning_rate: float, photos: Any, validation: Any, epochs: int, warm_up: bool) -> dict:
    """Compile and fit; the seconds of making ready and of the fit, and what it came to."""
    import keras

    started, processor_started = time.monotonic(), time.process_time()
    model.compile(keras.optimizers.Adam(learning_rate), loss="categorical_crossentropy", metrics=["accuracy"])
    if warm_up:
        model.fit(photos.take(1), validation_data=validation.take(1), verbose=0)
    fitting, processor = time.monotonic(), time.process_time()
    history = model.fit(photos, validation_data=validation, epochs=epochs, verbose=0).history
    return {
        "preparing_seconds": fitting - started,
        "preparing_processor_seconds": processor - processor_started,
        "seconds": time.monotonic() - fitting,
        "processor_seconds": time.process_time() - processor,
        "epochs": epochs,
        "val_accuracy": history["val_accuracy"][-1],
    }


def main() -> None:
    """Train, and print what it took."""
    arguments = build_parser().parse_args()
    import keras

    keras.utils.set_random_seed(arguments.seed)
    size, seed = arguments.image_size, arguments.seed
    photos = load_photos(arguments.photos / "train", size, seed, shuffle=True)
    validation = load_photos(arguments.photos / "validation", size, seed, shuffle=False)
    class_count = photos.element_spec[1].shape[1]
    backbone = keras.models.load_model(arguments.backbone, compile=False)
    model = build_model(backbone, class_count, size)
    counts = {name: sum(1 for _ in arguments.photos.glob(f"{name}/*/*")) for name in ("train", "validation")}
    results: dict[str, Any] = {"photos": counts, "batch_size": BATCH_SIZE}
    results["head"] = fit_phase(
        model, arguments.head_learning_rate, photos, validation, arguments.head_epochs, arguments.warm_up
    )
    if arguments.fine_tune_epochs:
        unfreeze_last_stage(backbone)
        results["fine_tune"] = fit_phase(
            model, arguments.fine_tune_learning_rate, photos, validation, arguments.fine_tune_epochs, arguments.warm_up
        )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
