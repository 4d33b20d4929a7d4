"""A classifier in another format: it answers as the original does, also where Catdog isn't, or it isn't kept."""

import json
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from helpers.made_models import write_foreign
from helpers.processes import one_json_object, run_python

from catdog.__main__ import main
from catdog.classifier.loading import load_classifier
from catdog.errors import Failed, Refused
from catdog.exports import converters, formats, making, round_trips
from catdog.exports.formats import FORMATS, snippet
from catdog.exports.making import export_classifier, size_of
from catdog.photos.photo_sets import photos_below
from catdog.runs.run_folder import KERAS_FILE

KINDS = {name: (name, False) for name in FORMATS} | {"int8": ("litert", True)}
WITHOUT_CATDOG = 'import sys\nsys.modules["catdog"] = None  # any import of it now fails\n'


@pytest.fixture
def few_drawings(monkeypatch):
    """Comparisons on drawings take less time."""
    monkeypatch.setattr(round_trips, "DRAWINGS", 8)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def file_in(folder: Path, format_name: str) -> Path:
    """A path for an export in a folder, with the ending that it must have."""
    return folder / f"export{Path(FORMATS[format_name].file_name).suffix}"


@pytest.mark.lowest
@pytest.mark.parametrize("kind", KINDS)
def test_every_export_answers_as_its_classifier_does_also_without_catdog(trained, drawings, folder, capfd, kind):
    format_name, quantize = KINDS[kind]
    file = file_in(folder, format_name)
    flags = ["--format", format_name, "--out", str(file), "--json", *(["--quantize"] if quantize else [])]
    assert main(["export", str(trained), *flags]) == 0
    export = one_json_object(capfd.readouterr().out)
    accuracy = json.loads((trained / "report.json").read_text())["accuracy"]
    tolerance = 0.05 if quantize else 0.005
    assert export == {
        **{"model": str(trained), "file": str(file), "format": format_name, "quantized": quantize},
        **{"bytes": size_of(file), "photos_compared": 16},
        "largest_difference": pytest.approx(0, abs=tolerance),
        "accuracy": {"original": pytest.approx(accuracy), "export": pytest.approx(accuracy, abs=1 / 16)},
    }
    assert list(folder.iterdir()) == [file]

    photo = photos_below(drawings / "validation")[3]
    code = WITHOUT_CATDOG + snippet(format_name, file.name, str(photo))
    done = run_python("-c", code, cwd=folder, PYTHONPATH="")
    assert done.returncode == 0, done.stderr
    (expected,) = load_classifier(trained).classify([photo])
    probabilities = json.loads(done.stdout.replace("'", '"'))
    assert list(probabilities) == ["cats", "dogs"]
    assert probabilities == pytest.approx(expected.probabilities, abs=tolerance)


def test_an_export_without_a_name_gets_one_and_what_is_printed_can_be_run(tiny_run, drawings, folder, capfd):
    assert main(["export", str(tiny_run), "--format", "onnx"]) == 0
    printed = capfd.readouterr()
    assert printed.err.splitlines() == [
        "Loading the classifier ...",
        "Writing it as ONNX ...",
        "Comparing it on 16 photos ...",
    ]
    first, _, how, _, code = printed.out.split("\n", 4)
    assert first.startswith("Wrote cat_dog_classifier.onnx (")
    assert "Loaded again and asked about 16 photos, it gives the classifier's probabilities to within 0.0001; " in first
    assert how == "Where Catdog isn't installed, after pip install onnxruntime pillow:"
    shutil.copy(photos_below(drawings / "validation" / "dogs")[0], "photo.jpg")
    done = run_python("-c", WITHOUT_CATDOG + code, cwd=folder, PYTHONPATH="")
    assert done.stdout.startswith("{'cats': "), done.stderr
    assert [path.name for path in photos_below(folder)] == ["photo.jpg"]


@pytest.mark.parametrize("format_name", ["keras", "h5"])
def test_what_keras_wrote_is_a_classifier_again(tiny_run, folder, format_name):
    export = export_classifier(tiny_run, format_name)
    again = load_classifier(export.file)
    assert again.class_names == ("cats", "dogs")
    assert again.info.items() >= load_classifier(tiny_run).info.items()
    assert again.info["input"] == "RGB from 0 to 255, float32 or uint8 (n, 64, 64, 3)"
    assert again.info["output"] == "probabilities, float32 (n, 2), in the order of class_names"


def test_a_litert_file_names_its_classes_as_litert_expects(tiny_run, folder):
    with zipfile.ZipFile(export_classifier(tiny_run, "litert").file) as archive:
        assert archive.read("labels.txt") == b"cats\ndogs\n"
        about = json.loads(archive.read("classifier.json"))
    assert (about["image_size"], about["quantized"]) == (64, False)
    assert about["input"] == "RGB from 0 to 255, uint8 (n, 64, 64, 3)"


def test_a_quantized_file_is_smaller(trained, folder):
    sizes = [export_classifier(trained, "litert", quantize=quantize).bytes for quantize in (False, True)]
    assert sizes[1] < 0.4 * sizes[0]
    assert {path.name for path in folder.iterdir()} == {"cat_dog_classifier.tflite", "cat_dog_classifier_int8.tflite"}


def test_the_bundled_classifier_is_compared_on_drawings_and_keeps_its_notice(folder, few_drawings):
    # Not a run's folder, whatever lies around.
    Path("predictions.csv").write_text("path,class,label,probability_cats,probability_dogs\n" + "x,cats,cats,1,0\n" * 9)
    export = export_classifier("starter", "h5")
    assert (export.photos_compared, export.accuracy) == (8, None)
    assert export.sentence == (
        "Loaded again and asked about 8 drawings, it gives the classifier's probabilities to within 0.0001."
    )
    assert "licence" in load_classifier(export.file).info["notice"].lower()


def test_drawings_stand_in_for_photos_that_have_gone(tiny_run, folder, few_drawings):
    shutil.copytree(tiny_run, "run")
    listed = Path("run/predictions.csv")
    first, *rows = listed.read_text().splitlines()
    listed.write_text("\n".join([first, *(f"gone/{row}" for row in rows[7:]), *rows[:7]]))
    assert export_classifier("run", "savedmodel").accuracy is None
    listed.write_text("\n".join([first, *rows[:8]]))
    shutil.rmtree("cat_dog_classifier_savedmodel")
    assert export_classifier("run", "savedmodel").photos_compared == 8


@pytest.mark.parametrize("format_name", ["keras", "savedmodel", "litert", "onnx"])
def test_other_classifiers_can_be_exported(folder, few_drawings, format_name):
    write_foreign("foreign.keras", outputs=3)
    export = export_classifier("foreign.keras", format_name, file_in(folder, format_name))
    assert export.largest_difference <= 1e-4


def write_odd(path: str, last: keras.Layer) -> None:
    """A classifier of layers in an order that no backbone has, the last of them before the classes given."""
    chance = np.random.default_rng(0)
    image = keras.Input((65, 65, 3))
    x = keras.layers.Rescaling(1 / 128, offset=[-1, -0.9, -1.1])(image)
    x = keras.layers.BatchNormalization(scale=False)(x)
    x = keras.layers.ZeroPadding2D(((1, 2), (3, 0)))(x)
    x = keras.layers.Conv2D(8, 4, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization(center=False)(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.MaxPooling2D(3, 2, padding="same")(x)
    sides = [keras.layers.Conv2D(8, 3, padding="same")(x), keras.layers.Conv2D(8, (1, 3), padding="same")(x)]
    x = last(keras.layers.Add()([x, *sides]))
    model = keras.Model(image, keras.layers.Dense(2, use_bias=False, activation="softmax")(x))
    model.set_weights(
        [chance.uniform(0.1, 0.6, weight.shape) - 0.3 * (weight.ndim > 1) for weight in model.get_weights()]
    )
    model.save(path)


def test_layers_in_another_order_are_written_to_onnx_as_well(folder, few_drawings):
    write_odd("odd.keras", keras.layers.GlobalAveragePooling2D())
    found = load_classifier("odd.keras").probabilities(round_trips.draw(65))
    assert np.ptp(found) > 0.01  # or any other network would compare as well
    assert export_classifier("odd.keras", "onnx").largest_difference <= 1e-4


def test_a_layer_that_an_onnx_export_can_not_hold_is_named(folder):
    # In a run's folder, for a file alone may only have the layers that backbones here have.
    (folder / "odd").mkdir()
    write_odd(f"odd/{KERAS_FILE}", keras.layers.Flatten(name="flat"))
    with pytest.raises(Refused, match=r"can't hold the layer flat \(Flatten\) of this classifier: choose another"):
        export_classifier("odd", "onnx")
    assert [path.name for path in folder.rglob("*")] == ["odd", KERAS_FILE]


WRONG = {
    "no format": ([], "--format"),
    "other format": (["--format", "pickle"], "pickle"),
    "quantized onnx": (["--format", "onnx", "--quantize"], "Only a litert export can be quantized"),
    "other ending": (["--format", "onnx", "--out", "x.tflite"], "A name for ONNX ends in .onnx, not as x.tflite does"),
    "file in the way": (["--format", "onnx", "--out", "there.onnx"], "there.onnx is there already"),
    "folder in the way": (["--format", "savedmodel", "--out", "folder"], "folder is there already"),
    "dangling link": (["--format", "keras", "--out", "link.keras"], "link.keras is there already"),
    "no folder": (["--format", "keras", "--out", "nowhere/x.keras"], "There is no folder nowhere"),
    "no place to write": (["--format", "keras", "--out", "/proc/x.keras"], "Nothing can be written to /proc"),
}


@pytest.mark.parametrize(("flags", "telling"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_before_anything_is_loaded(folder, capfd, flags, telling):
    Path("there.onnx").write_text("mine")
    Path("folder").mkdir()
    Path("link.keras").symlink_to("nothing")
    before = set(folder.rglob("*"))
    assert main(["export", "starter", *flags]) == 2
    printed = capfd.readouterr()
    assert (printed.out, len(printed.err.splitlines())) == ("", 1)
    assert telling in printed.err
    assert printed.err.endswith(".\n")
    assert Path("there.onnx").read_text() == "mine"
    assert set(folder.rglob("*")) == before


def test_a_missing_classifier_leaves_nothing_behind(folder, capfd):
    assert main(["export", "nowhere", "--format", "onnx"]) == 2
    assert "There is no classifier nowhere" in capfd.readouterr().err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("format_name", "quantize", "package", "sentence"),
    [
        ("onnx", False, "onnxruntime", "The onnx export needs onnxruntime, which is not installed: "),
        ("litert", False, "ai_edge_litert", "The litert export needs ai_edge_litert, which is not installed: "),
        (
            "litert",
            True,
            "litert_quantizer",
            "A quantized litert export needs litert_quantizer, which is not installed: ",
        ),
    ],
)
def test_a_missing_package_is_named_with_how_to_get_it(folder, monkeypatch, format_name, quantize, package, sentence):
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(Refused) as refused:
        export_classifier("starter", format_name, quantize=quantize)
    assert str(refused.value) == sentence + "pip install -r requirements-export.txt gets it."


@pytest.mark.parametrize(("shift", "kept"), [(0.004, True), (0.006, False), (np.nan, False)])
def test_an_export_that_answers_otherwise_is_not_kept(tiny_run, folder, monkeypatch, shift, kept):
    right = round_trips.LOADERS["savedmodel"]
    monkeypatch.setitem(
        round_trips.LOADERS, "savedmodel", lambda file: lambda pixels: right(file)(pixels) + np.array([shift, -shift])
    )
    if kept:
        assert export_classifier(tiny_run, "savedmodel").largest_difference == pytest.approx(shift, abs=1e-4)
        return
    with pytest.raises(Failed) as failed:
        export_classifier(tiny_run, "savedmodel")
    assert str(failed.value) == (
        "The savedmodel export was not kept: loaded again, it gives 16 of 16 photos probabilities "
        "further than 0.005 from the classifier's."
    )
    assert list(folder.iterdir()) == []


def test_what_appears_meanwhile_is_left_alone(tiny_run, folder):
    def tell(sentence: str) -> None:
        if sentence.startswith("Comparing"):
            Path("cat_dog_classifier.keras").write_text("mine")

    with pytest.raises(Refused, match="is there already"):
        export_classifier(tiny_run, "keras", tell=tell)
    assert Path("cat_dog_classifier.keras").read_text() == "mine"
    assert len(list(folder.iterdir())) == 1


def test_a_full_disk_is_told_and_nothing_is_left_behind(trained, folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(converters, "save_keras", full)
    with pytest.raises(Failed, match=r"^The export could not be written \(No space left on device\)\.$"):
        export_classifier(trained, "keras")
    monkeypatch.setattr(making.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**6))
    with pytest.raises(Refused, match=r"takes up to 71.* MB .* 1\.0 MB are left on the disk of \.: make room"):
        export_classifier(trained, "h5")
    assert list(folder.iterdir()) == []


FULL_LATER = """
import resource, sys
from catdog.exports.making import export_classifier

def tell(sentence):
    if sentence.startswith("Writing"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

try:
    export_classifier(sys.argv[1], "savedmodel", tell=tell)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_what_tensorflow_itself_can_not_write_is_told(trained, folder):
    done = run_python("-c", FULL_LATER, str(trained), cwd=folder)
    assert done.stdout == "Failed The export could not be written (File too large).\n"
    assert list(folder.iterdir()) == []
