import json
from pathlib import Path

import pytest
from helpers.places import REPOSITORY
from helpers.processes import one_json_object, run_python
from helpers.trained_runs import small_config

from catdog.__main__ import main
from catdog.errors import Refused, Stopped
from catdog.files.shelves import RECORD
from catdog.learning import small_run
from catdog.learning.expectation import expected
from catdog.learning.small_run import NOT_DOWNLOADED, anonymous_bytes, measure, pace, phase_seconds
from catdog.network.backbone_files import imagenet_file
from catdog.settings import TrainConfig

CONFIG = TrainConfig(data="photos", backbone="starter", head_epochs=10, fine_tune_epochs=3)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    """Let the small runs be as short as they can."""
    monkeypatch.setattr(small_run, "FEATURES_SECONDS", 0.0)
    monkeypatch.setattr(small_run, "LEARNING_SECONDS", 0.0)


@pytest.fixture
def measurement(tmp_path) -> dict:
    """A made-up measurement of CONFIG, whose shelves have 10 rows and lack 100 training and 50 validation photos."""
    phase = {"begin": 1.0, "train_photo": 0.01, "validation_photo": 0.002, "epoch": 0.5}
    shelves = {}
    for split, missing in (("train", 100), ("validation", 50)):
        shelves[split] = []
        for kind in ("conv4", "pooled"):
            folder = tmp_path / f"{split}-{kind}"
            folder.mkdir()
            put_rows(folder, 10)
            shelves[split].append({"folder": str(folder), "kind": kind, "rows": 10, "missing": missing})
    return {
        "settings": CONFIG.as_dict(),
        "photos": {"train": 200, "validation": 100, "test": 20},
        "shelves": shelves,
        "seconds": {
            "start": 5.0,
            "features": {
                "prepare": 0.5,
                "train": {"begin": 2.0, "photo": 0.01, "kept": 0.001},
                "validation": {"begin": 1.0, "photo": 0.02, "kept": 0.001},
            },
            "head": {"begin": 0.2, "train_photo": 0.0001, "validation_photo": 0.0001, "epoch": 0.01},
            "fine-tune": phase,
            "test_photo": 0.1,
            "label": 0.01,
            "end": 2.0,
        },
        "bytes": {"head": 500, "all": 900, "photo": {"train": 2, "validation": 1}},
        "note": "",
    }


def put_rows(folder: Path, count: int) -> None:
    """Let a shelf's index have so many records."""
    (folder / "index.bin").write_bytes(bytes(count * RECORD.itemsize))


def with_settings(**settings) -> TrainConfig:
    """CONFIG with other settings."""
    return TrainConfig(**{**CONFIG.as_dict(), **settings})


def test_the_whole_follows_from_its_parts(measurement):
    found = expected(measurement, CONFIG)
    assert found.parts == pytest.approx(
        {
            "start": 5.0,
            # 100 and 50 are kept and read first, then all of them; 100 and 50 run.
            "features": 0.5 + 0.001 * (300 + 150) + 2.0 + 100 * 0.01 + 1.0 + 50 * 0.02,
            "head": 0.2 + 10 * (200 * 0.0001 + 100 * 0.0001 + 0.01),
            "fine-tuning": 1.0 + 3 * (200 * 0.01 + 100 * 0.002 + 0.5),
            # Labels of all, test photos, and all once more through what has learned.
            "end": 2.0 + 300 * 0.01 + 20 * 0.1 + 300 * 0.002,
        }
    )
    assert found.seconds == pytest.approx(sum(found.parts.values()))
    assert found.size_bytes == 900 + 2 * 200 + 100


def test_no_more_photos_go_through_the_tail_again_than_do(measurement):
    many = measurement | {"photos": {"train": 20_000, "validation": 10_000}}
    found = expected(many, CONFIG)
    assert found.parts["end"] == pytest.approx(2.0 + 30_000 * 0.01 + 1_500 * 0.002)


def test_other_epochs_and_rates_need_no_new_measurement(measurement):
    before = expected(measurement, CONFIG).parts
    more = expected(measurement, with_settings(head_epochs=20, fine_tune_epochs=6, fine_tune_learning_rate=0.1, seed=3))
    assert more.parts["head"] - before["head"] == pytest.approx(10 * 0.04)
    assert more.parts["fine-tuning"] - before["fine-tuning"] == pytest.approx(3 * 2.7)
    assert more.parts["features"] == before["features"]
    head_alone = expected(measurement, with_settings(fine_tune_epochs=0, freeze_depth="none"))
    assert "fine-tuning" not in head_alone.parts
    assert head_alone.parts["end"] == pytest.approx(before["end"] - 300 * 0.002)
    assert head_alone.size_bytes == 500 + 2 * 200 + 100


@pytest.mark.parametrize(
    "settings",
    [
        {"data": "others"},
        {"backbone": "imagenet"},
        {"image_size": 96},
        {"batch_size": 8},
        {"augment": "mirror"},
        {"bfloat16": "off"},
        {"freeze_depth": "conv3"},
    ],
    ids=str,
)
def test_what_was_not_measured_is_not_guessed(measurement, settings):
    assert expected(measurement, with_settings(**settings)) is None
    measurement["settings"] |= {"fine_tune_epochs": 0}
    assert expected(measurement, CONFIG) is None


def test_what_a_run_has_kept_meanwhile_is_taken_off(measurement):
    folders = {shelf["folder"] for shelves in measurement["shelves"].values() for shelf in shelves}
    for folder in folders:
        put_rows(Path(folder), 10 + 60 if "train" in folder else 10 + 50)
    # 40 are missing: 60 and 50 more are kept, and read once more, instead of running.
    assert expected(measurement, CONFIG).parts["features"] == pytest.approx(
        0.5 + 0.001 * (200 + 160 + 100) + 2.0 + 40 * 0.01
    )
    for folder in folders:
        put_rows(Path(folder), 1000)
    assert expected(measurement, CONFIG).parts["features"] == pytest.approx(0.5 + 0.001 * 300)
    # The head alone needs no activations at the boundary.
    (Path(measurement["shelves"]["train"][0]["folder"]) / "index.bin").unlink()
    assert expected(measurement, CONFIG).parts["features"] == pytest.approx(0.5 + 0.001 * 300 + 2.0 + 200 * 0.01)
    head_alone = expected(measurement, with_settings(fine_tune_epochs=0))
    assert head_alone.parts["features"] == pytest.approx(0.5 + 0.001 * 300)


def test_photos_that_were_never_timed_are_not_guessed_at(measurement):
    measurement["seconds"]["features"]["train"]["photo"] = None
    assert expected(measurement, CONFIG) is None
    for shelf in measurement["shelves"]["train"]:
        shelf["missing"] = 0
    assert expected(measurement, CONFIG).seconds > 0


def test_a_damaged_measurement_tells_nothing(measurement):
    for name in measurement:
        if name != "note":
            assert expected({**measurement, name: None}, CONFIG) is None, name
            assert expected({**measurement, name: []}, CONFIG) is None, name
            assert expected({key: value for key, value in measurement.items() if key != name}, CONFIG) is None, name
    assert expected({}, CONFIG) is None
    measurement["bytes"]["all"] = 0  # where the system does not tell
    assert expected(measurement, CONFIG).size_bytes == 0


def test_the_pace_leaves_the_first_batch_out():
    assert pace([(0.0, 5)]) == (0.0, None)
    assert pace([(0.0, 5), (3.2, 37)]) == pytest.approx((0.0, 0.1))
    assert pace([(0.0, 0), (5.0, 32), (6.0, 64), (7.0, 96)]) == pytest.approx((4.0, 1 / 32))


def test_a_phase_is_reckoned_from_its_warm_epochs():
    def step(epoch: int, number: int) -> dict:
        return {"event": "step", "epoch": epoch, "step": number}

    moments = [(0.0, {"event": "phase"})]
    # The first epoch compiles for 5 seconds. Each takes 1 second to begin, 2 a step, 3 to validate, 4 to keep.
    moments += [(8.0, step(1, 1)), (10.0, step(1, 2)), (17.0, {"event": "epoch", "seconds": 13.0})]
    moments += [(20.0, step(2, 1)), (22.0, step(2, 2)), (29.0, {"event": "epoch", "seconds": 8.0})]
    moments += [(32.0, step(3, 1)), (34.0, step(3, 2)), (41.0, {"event": "epoch", "seconds": 8.0})]
    moments += [(44.0, step(4, 1))]
    assert phase_seconds(moments, {"train": 64, "validation": 30}) == pytest.approx(
        {"begin": 5.0, "train_photo": 4 / 64, "validation_photo": 3 / 30, "epoch": 5.0}
    )


def small_measurement(data: Path, folder: Path, **settings) -> tuple[TrainConfig, dict]:
    """A measurement of a run of seconds, as it reads from a file."""
    folder.mkdir(exist_ok=True)
    config = small_config(data, **settings)
    return config, json.loads(json.dumps(measure(config, folder, began=0.0)))


@pytest.mark.parametrize(
    "settings",
    [{}, {"fine_tune_epochs": 2, "augment": "mirror"}, {"fine_tune_epochs": 1, "freeze_depth": "none"}],
    ids=str,
)
def test_a_measurement_is_whole(drawings, tmp_path, monkeypatch, settings):
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    config, measurement = small_measurement(drawings, tmp_path / "scratch", **settings)
    assert measurement["photos"] == {"train": 48, "validation": 16}
    found = expected(measurement, config)
    parts = ["start", "features", "head", *(["fine-tuning"] if settings else []), "end"]
    assert list(found.parts) == parts
    assert all(seconds > 0 for seconds in found.parts.values())
    assert found.size_bytes > measurement["bytes"]["head"] > 50_000_000 or not anonymous_bytes()
    # What ran is kept, so that there is nothing left to run.
    kinds = {shelf["kind"]: shelf for shelf in measurement["shelves"]["train"]}
    assert kinds.keys() == ({"conv4", "pooled"} if "augment" in settings else {"pooled"})
    assert all(shelf["missing"] == 0 and shelf["rows"] == 48 for shelf in kinds.values())
    again = small_measurement(drawings, tmp_path / "scratch", **settings)[1]
    assert again["seconds"]["features"]["train"]["photo"] is None
    assert measurement["seconds"]["features"]["train"]["photo"] > 0


def test_imagenet_is_measured_without_its_download(drawings, tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CATDOG_WEIGHTS_URL", "http://127.0.0.1:9/weights.h5")
    config, measurement = small_measurement(drawings, tmp_path / "scratch", backbone="auto")
    assert measurement["note"] == NOT_DOWNLOADED
    assert expected(measurement, config).seconds > 0
    assert not imagenet_file().exists()
    assert not (tmp_path / "cache" / "activations").exists()


def test_a_measurement_can_be_stopped(drawings, tmp_path):
    with pytest.raises(Stopped):
        measure(small_config(drawings), tmp_path, 0.0, should_stop=lambda: True)


def test_photos_that_cannot_be_read_are_refused(tmp_path):
    for name in ("train/cats/1.png", "train/dogs/1.png", "validation/cats/1.png", "validation/dogs/1.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True)
        path.write_text("no photo")
    with pytest.raises(Refused, match="can be read"):
        measure(small_config(tmp_path / "photos"), tmp_path, 0.0)


def test_the_command_prints_what_it_keeps(drawings, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("CATDOG_RUNS", str(tmp_path / "runs"))
    flags = ["--backbone", "starter", "--image-size", "32", "--fine-tune-epochs", "2", "--freeze-depth", "conv5"]
    assert main(["estimate", str(drawings), *flags, "--json"]) == 0
    printed = one_json_object(capfd.readouterr().out)
    assert printed["seconds"] == pytest.approx(sum(printed["parts"].values()), abs=0.5)
    (trial,) = (tmp_path / "runs" / "trials").iterdir()
    assert json.loads((trial / "trial.json").read_text()) == printed
    assert not list(trial.rglob("*.keras"))
    assert main(["estimate", str(drawings), *flags]) == 0
    assert capfd.readouterr().out.startswith("About ")


def test_the_command_refuses_what_training_refuses(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["estimate", "nowhere", "--backbone", "starter"]) == 2
    assert main(["estimate", ".", "--backbone", "nowhere.keras"]) == 2
    assert main(["estimate", ".", "--head-epochs", "0"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_reckoning_brings_no_tensorflow():
    code = "import sys; import catdog.learning.expectation, catdog.presets; print('tensorflow' in sys.modules)"
    assert run_python("-c", code, cwd=REPOSITORY).stdout.strip() == "False"
