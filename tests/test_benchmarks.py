"""The benchmarks' own arithmetic and helpers, on made-up input; no figure of theirs is tested."""

import os
import sys
import time
from pathlib import Path

import keras
import pytest
from helpers.places import REPOSITORY
from helpers.processes import run_python

from catdog.photos.photo_sets import find_photo_set
from catdog.photos.reading import digest_files, read_photo
from catdog.runs import jobs
from catdog.runs.course import Course
from catdog.runs.run_folder import read_config

# The scripts find each other as any script does, in their own folder.
sys.path.append(str(REPOSITORY / "benchmarks"))
import against_keras
import measuring
import pages
import scaling

SCRIPTS = ("against_keras.py", "keras_tutorial.py", "throughput.py", "scaling.py")
on_linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


def resnet50(stride_on: int) -> keras.Model:
    """ResNet-50 of random weights, a stage's stride on its first 1x1 convolution (1) or its 3x3 convolution (2)."""
    plain = keras.applications.ResNet50(weights=None, include_top=False)
    config = plain.get_config()
    for layer in config["layers"]:
        for stage in ("conv3", "conv4", "conv5"):
            for convolution in (1, 2):
                if layer["name"] == f"{stage}_block1_{convolution}_conv":
                    layer["config"]["strides"] = (2, 2) if convolution == stride_on else (1, 1)
    return keras.Model.from_config(config)


# He et al., 2015, give 3.8 billion multiply-adds for the first form; torchvision counts 4.09 for the second.
@pytest.mark.parametrize(("stride_on", "gflops"), [(1, 2 * 3.86), (2, 2 * 4.09)])
def test_operations_of_resnet50(stride_on, gflops):
    network = resnet50(stride_on)
    assert measuring.count_flops(network, 224) / 1e9 == pytest.approx(gflops, rel=0.01)


def test_operations_of_layers_counted_by_hand():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", strides=2)(image)
    x = keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(x))
    network = keras.Model(image, x)
    assert measuring.count_flops(network, 8) == 2 * (4 * 4 * 3 * 3 * 3 * 4) + 2 * (4 * 5)
    assert measuring.count_flops(keras.Model(image, network.layers[1].output), 8) == 2 * (4 * 4 * 3 * 3 * 3 * 4)


def test_altered_copies_are_other_files_of_the_same_photo(drawings):
    original = next((drawings / "train").glob("*/*"))
    content = original.read_bytes()
    copies = [scaling.altered_copy(content, copy) for copy in range(1, 40)]
    assert len({content, *copies}) == 40
    before = read_photo(content, 64).astype(int)
    for copy in (copies[0], copies[-1]):
        assert abs(read_photo(copy, 64) - before).mean() < 16


def test_more_photos_than_there_are(drawings, tmp_path):
    scaling.make_photo_set(drawings, tmp_path / "photos", 151)
    photo_set = find_photo_set(tmp_path / "photos")
    counts = [sum(of_class) for of_class in zip(*(each.values() for each in photo_set.counts().values()), strict=True)]
    assert counts == [76, 75]
    paths = [photo.path for photos in photo_set.splits.values() for photo in photos]
    assert len(set(digest_files(paths))) == 151
    assert all(read_photo(path, 32).shape == (32, 32, 3) for path in paths)


def phase(seconds: float, preparing: float, accuracy: float) -> dict:
    """What the tutorials' script says of one epoch of a phase, on two cores that are always busy."""
    times = {"seconds": seconds, "preparing_seconds": preparing}
    processor = {f"{name.replace('seconds', 'processor_seconds')}": 2 * value for name, value in times.items()}
    return {**times, **processor, "epochs": 1, "val_accuracy": accuracy}


def test_quick_mode_scales_one_epoch_to_all():
    # 1,000 photos of which 50 warm up: a twentieth of an epoch.
    result = {"photos": {"train": 968, "validation": 32}, "batch_size": 18}
    result |= {"head": phase(100.0, 8.0, 0.9), "fine_tune": phase(200.0, 20.0, 0.95)}
    warm_up = 36 / 1000
    measured = measuring.Measured(seconds=340.0, processor_seconds=680.0, peak_bytes=10**9, output="")
    both = against_keras.scale(measured, result, 10, 5)
    assert both.training_seconds == 10 * 100 + 5 * 200
    # The rest of the process took 40 seconds, of which the warm-up's photos took 300 epoch seconds' share.
    assert both.seconds == pytest.approx(2000 + 40 - 300 * warm_up)
    assert both.processor_seconds == pytest.approx(2 * both.seconds)
    assert (both.peak_bytes, both.accuracy, both.accuracy_after) == (10**9, 0.95, "1+1")
    head = against_keras.scale(measured, result, 20, 0)
    assert head.training_seconds == 2000
    assert head.seconds == pytest.approx(2000 + 40 - 100 * warm_up - 20)
    assert (head.peak_bytes, head.accuracy, head.accuracy_after) == (None, 0.9, "1+0")


def test_training_is_from_the_head_to_evaluation():
    events = [
        {"event": "phase", "phase": "features", "time": 1.0},
        {"event": "phase", "phase": "head", "time": 10.0},
        {"event": "epoch", "phase": "head", "time": 12.0},
        {"event": "phase", "phase": "fine-tune", "time": 13.0},
        {"event": "phase", "phase": "evaluation", "time": 17.5},
        {"event": "result", "time": 20.0},
    ]
    assert against_keras.training_seconds(events) == 7.5
    parts = {"features": 9.0, "head": 3.0, "fine-tune": 4.5, "evaluation": 2.5}
    assert against_keras.part_seconds(events) == parts


def test_rows_divide_theirs_by_ours():
    theirs = against_keras.Way(90.0, 80.0, {}, 180.0, 2 * 10**9, 0.9, "10+5")
    ours = against_keras.Way(10.0, 8.0, {}, 15.0, 10**9, 0.95, "10+5")
    rows = against_keras.rows_of("x", theirs, ours)
    assert [row[-1] for row in rows] == ["9.0 x", "10.0 x", "12.0 x", "2.00 x", "+5.00%"]


def test_actions_take_turns_and_the_first_round_does_not_count():
    calls = []
    seconds = measuring.alternate({name: lambda name=name: calls.append(name) for name in "ab"}, 2)
    assert calls == list("ababab")
    assert [len(of_action) for of_action in seconds.values()] == [2, 2]


def test_ratios_are_taken_within_a_round():
    assert measuring.paired_ratio([2.0, 30.0, 4.0], [1.0, 10.0, 2.0]) == 2.0


@on_linux
def test_memory_of_a_process_and_its_children_is_seen():
    hold = "import time; held = b'x' * 100_000_000; time.sleep(1.5)"
    command = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}]); {hold}; print('held')"
    measured = measuring.run_measured([sys.executable, "-c", command])
    assert measured.output == "held\n"
    assert measured.seconds > 3
    assert 100_000_000 < measured.peak_bytes < 160_000_000
    both = command.replace("subprocess.run", "child = subprocess.Popen") + "; child.wait()"
    assert 200_000_000 < measuring.run_measured([sys.executable, "-c", both]).peak_bytes < 260_000_000


@on_linux
def test_a_failed_process_is_told_with_its_last_words():
    with pytest.raises(SystemExit, match="no luck"):
        measuring.run_measured([sys.executable, "-c", "raise ValueError('no luck')"])


def test_a_table_lines_up(capsys):
    measuring.print_table("Title", ("what", "ratio"), [["short", "1.0 x"], ["something long", "10.0 x"]])
    title, *lines = capsys.readouterr().out.strip().splitlines()
    assert title == "Title"
    assert lines[0] == "what             ratio"
    assert {len(line) for line in lines} == {len("something long  10.0 x")}


def test_made_runs_are_what_the_pages_take_for_finished_and_for_working_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_RUNS", str(tmp_path))
    monkeypatch.setattr(pages, "WATCHED_EPOCHS", 2)
    pages.make_finished_run(tmp_path / "1", 0)
    (finished,) = jobs.list_jobs()
    summary = jobs.summarize(finished)
    assert (summary["state"], summary["accuracy"], summary["photos"]) == ("done", 0.98, 3000)
    assert finished.has_classifier
    course = Course(finished.folder, read_config(finished.folder))
    course.read()
    assert len(course.curves.epochs) == pages.HEAD_EPOCHS + pages.FINE_TUNE_EPOCHS
    assert len(course.curves.positions) == len(course.curves.epochs) * pages.STEPS
    assert course.result is not None
    with pages.growing_run(tmp_path / "2"):
        working = jobs.find_job(tmp_path / "2")
        assert working.status["state"] == "running"
        course = Course(working.folder, read_config(working.folder))
        course.read()
        before = len(course.curves.positions)
        assert before >= 2 * pages.WATCHED_STEPS * 0.9
        while len(course.curves.positions) < before + 3:
            course.read()
    assert jobs.find_job(tmp_path / "2").status["state"] == "done"


@on_linux
def test_processor_time_of_a_process_is_seen():
    before = pages.processor_seconds(os.getpid())
    started = time.process_time()
    while time.process_time() - started < 0.3:
        pass
    assert pages.processor_seconds(os.getpid()) - before == pytest.approx(time.process_time() - started, abs=0.1)


def test_help_of_the_pages_benchmark(tmp_path):
    asked = run_python(str(REPOSITORY / "benchmarks" / "pages.py"), "--help", cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
    assert "--runs" in asked.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script, tmp_path):
    asked = run_python(str(REPOSITORY / "benchmarks" / script), "--help", cwd=tmp_path, CATDOG_SHARED="")
    assert asked.returncode == 0, asked.stderr
    assert "--photos" in asked.stdout
