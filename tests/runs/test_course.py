import json

import pytest
from helpers.made_events import epoch, step

from catdog.runs.course import MOST_KEPT, RECENT_SECONDS, SPARK_POINTS, Course, Pace
from catdog.settings import TrainConfig

CONFIG = TrainConfig(batch_size=8, head_epochs=2, fine_tune_epochs=3)


@pytest.fixture
def course(tmp_path) -> Course:
    """The course of a run that has written nothing yet."""
    return Course(tmp_path, CONFIG)


def write(course: Course, *events: dict, end: str = "\n") -> None:
    """Let the run write events, and read them."""
    with (course.folder / "events.jsonl").open("a") as file:
        file.write("\n".join(map(json.dumps, events)) + end)
    course.read()


def test_before_anything_was_written_a_run_is_starting(course):
    course.read()
    assert course.progress() == (0, "Starting")
    assert course.photos_per_second() == course.seconds_left() == course.validation("loss") == []


def test_work_on_photos_has_its_own_speed(course):
    write(course, {"event": "phase", "phase": "features"})
    assert course.progress() == (0, "Running the photos through the frozen network")
    write(course, {"event": "progress", "time": 5, "done": 1000, "total": 4000, "per_second": 50})
    assert course.progress() == (0.25, "Running the photos through the frozen network: 1,000 of 4,000")
    assert (course.photos_per_second(), course.seconds_left()) == ([50], [60])


def test_a_download_counts_no_photos(course):
    event = {"event": "progress", "time": 5, "done": 31e6, "total": 94e6, "per_second": 1e6}
    write(course, {"event": "phase", "phase": "download"}, event)
    assert course.progress()[1] == "Downloading the ImageNet weights: 31 of 94 MB"
    assert (course.photos_per_second(), course.seconds_left()) == ([], [63])


@pytest.mark.parametrize("total", [None, 0, "4", float("nan")])
def test_a_total_that_is_no_number_is_no_progress(course, total):
    write(course, {"event": "phase", "phase": "features"})
    write(course, {"event": "progress", "time": 5, "done": 0, "total": total, "per_second": 0})
    assert course.progress()[0] == 0
    assert course.seconds_left() == []


def test_learning_is_timed_from_its_first_step_on(course):
    # The network is compiled before the first step, which says nothing of the others.
    write(course, {"event": "phase", "phase": "head", "time": 0}, step(step=1, time=30))
    assert course.progress() == (0.125, "Training the head: epoch 1 of 2")
    assert course.photos_per_second() == []
    write(course, step(step=2, time=32), step(step=3, time=34))
    assert course.photos_per_second() == [4, 4]  # 8 photos in 2 seconds
    assert course.seconds_left() == [12, 10]  # of 2 epochs of 4 steps
    write(course, step(step=4, time=36), epoch(time=37), step(epoch=2, step=1, time=40))
    assert course.progress() == (0.625, "Training the head: epoch 2 of 2")
    assert course.photos_per_second()[-1] == pytest.approx(32 / 10)


def test_each_part_begins_anew(course):
    write(course, {"event": "phase", "phase": "head"}, step(step=1, time=1), step(step=2, time=2))
    write(course, {"event": "phase", "phase": "fine-tune"})
    assert course.progress() == (0, "Fine-tuning")
    assert course.photos_per_second() == course.seconds_left() == []


def test_speed_is_that_of_the_last_seconds_and_time_left_that_of_the_whole_part():
    pace = Pace()
    for time in range(30):
        pace.add(time, min(time, 10) + 3 * max(time - 10, 0), 1000)
    assert RECENT_SECONDS < 19
    assert pace.rates[-1] == 3
    assert pace.left[-1] == pytest.approx((1000 - 67) / (67 / 29))


def test_a_clock_that_stands_still_or_goes_back_is_passed_over():
    pace = Pace()
    for time, done in ((5, 1), (5, 2), (4, 3)):
        pace.add(time, done, 10)
    assert list(pace.rates) == []


def test_of_a_long_part_no_more_is_kept_and_shown_than_is_seen(course):
    course.take({"event": "phase", "phase": "features"})
    for time in range(5 * MOST_KEPT):
        course.take({"event": "progress", "time": time, "done": time, "total": 10**6, "per_second": 1 + time})
    assert len(course.pace.rates) <= MOST_KEPT
    for shown in (course.photos_per_second(), course.seconds_left()):
        assert SPARK_POINTS / 2 < len(shown) <= SPARK_POINTS
    assert course.photos_per_second()[-1] == 5 * MOST_KEPT
    assert max(course.seconds_left()) == course.seconds_left()[0]


def test_validation_figures_end_with_the_latest_epoch(course):
    write(course, epoch(val_loss=0.5, val_accuracy=0.8), epoch(epoch=2, val_loss=0.4, val_accuracy=0.9))
    assert course.validation("loss") == [0.5, 0.4]
    assert course.validation("accuracy") == [0.8, 0.9]


def test_only_what_is_new_is_read_and_half_a_line_waits(course):
    write(course, step(step=1, time=1))
    write(course, step(step=2, time=2), end="")
    assert list(course.curves.positions) == [0.25]
    write(course, end="\n")
    assert list(course.curves.positions) == [0.25, 0.5]


def test_a_note_is_told_once_and_that_it_waited_not_at_all(course):
    for message in ("There is no room.", "Waiting for another run to end.", "There is no room."):
        course.take({"event": "note", "message": message})
    assert course.notes == ["There is no room."]


def test_the_result_is_the_last_one(course):
    for accuracy in (0.8, 0.9):
        course.take({"event": "result", "accuracy": accuracy, "loss": 0.1, "epochs": 2, "seconds": 3})
    assert course.result["accuracy"] == 0.9
