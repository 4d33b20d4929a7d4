"""Where training draws its batches from: what was kept, or photos; each batch made ready ahead, and in order."""

import threading

import numpy as np
import pytest
import tensorflow as tf
from helpers.pictures import draw_photos

from catdog.errors import Failed
from catdog.network import activations
from catdog.network.activations import (
    ComputedActivations,
    KeptActivations,
    PhotoPixels,
    Source,
    in_batches,
    read_batches,
)
from catdog.network.arithmetic import SWITCH
from catdog.photos.reading import read_photo


def switch() -> bool:
    """How TensorFlow's switch stands now."""
    return bool(tf.config.optimizer.get_experimental_options().get(SWITCH, False))


def test_kept_activations_give_the_rows_and_views_that_are_asked_for():
    plain = np.arange(12, dtype=np.float16).reshape(4, 3)
    kept = KeptActivations([(plain, np.array([2, 0, 3])), (-plain[:3], np.array([1, 1, 0]))])
    assert len(kept) == 3
    batch = kept.batch(np.array([2, 0, 1, 0]), np.array([0, 1, 1, 0]))
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch, [plain[3], -plain[1], -plain[1], plain[2]])


def test_photo_pixels_give_the_photos_and_views_that_are_asked_for(tmp_path):
    photos = draw_photos(tmp_path, 3)
    source = PhotoPixels(photos, 20)
    batch = source.batch(np.array([2, 0, 2]), np.array([0, 1, 1]))
    assert len(source) == 3
    assert (batch.dtype, batch.shape) == (np.float32, (3, 20, 20, 3))
    first, _, third = (read_photo(photo.path, 20) for photo in photos)
    for found, expected in zip(batch, (third, first[:, ::-1], third[:, ::-1]), strict=True):
        np.testing.assert_array_equal(found, expected)
    photos[0].path.unlink()
    with pytest.raises(Failed, match=r"000\.png could be read when training began and can't be now: there is no"):
        source.batch(np.array([1, 0]), np.array([0, 0]))


def test_computed_activations_run_a_part_at_a_time_and_round(tmp_path, monkeypatch):
    monkeypatch.setattr(activations, "NETWORK_BATCH", 2)
    photos = draw_photos(tmp_path, 3)
    parts = []

    def run(pixels):
        parts.append(len(pixels))
        return [tf.constant(pixels.mean(axis=(1, 2)), tf.float32)]

    batch = ComputedActivations(PhotoPixels(photos, 16), run, np.float16).batch(
        np.array([2, 0, 1]), np.array([0, 1, 0])
    )
    assert parts == [2, 1]
    expected = [read_photo(photos[index].path, 16).mean(axis=(0, 1), dtype=np.float32) for index in (2, 0, 1)]
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch, batch.astype(np.float16))
    np.testing.assert_allclose(batch, expected, rtol=1e-3)


class Numbers(Source):
    """A source whose batches are the indices and views themselves, and which fails at an index."""

    def __init__(self, fails_at: int = -1):
        self.fails_at = fails_at
        self.asked = threading.Semaphore(0)

    def __len__(self) -> int:
        return 10

    def load(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        self.asked.release()
        if self.fails_at in indices:
            raise Failed("A photo has gone.")
        return np.stack([indices, views])


def test_batches_come_in_order_each_made_ready_while_the_one_before_is_worked_on():
    source = Numbers()
    order, views = np.array([3, 1, 4, 0, 5, 9, 2]), np.array([0, 1, 0, 0, 1, 1, 0])
    batches = in_batches(source, order, views, 3)
    found = []
    for batch in batches:
        if len(found) < 2:
            assert source.asked.acquire(timeout=60)
            # The second time for the batch that nobody has asked for yet.
            assert found or source.asked.acquire(timeout=60)
        found.append(batch)
    assert [batch.shape[1] for batch in found] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(found, axis=1), [order, views])


def test_what_runs_the_frozen_network_has_its_arithmetic_and_none_of_it_reaches_the_learning(tmp_path):
    photos = draw_photos(tmp_path, 3)
    seen = []

    def run(pixels):
        seen.append((switch(), threading.current_thread()))
        return [tf.constant(pixels.mean(axis=(1, 2)), tf.float32)]

    source = ComputedActivations(PhotoPixels(photos, 16), run, np.float16, "bfloat16")
    for _ in in_batches(source, np.arange(3), np.zeros(3, int), 1):
        assert not switch()
    assert seen == [(True, threading.current_thread())] * 3


def test_no_photos_give_no_batches():
    assert list(in_batches(Numbers(), np.arange(0), np.arange(0), 3)) == []


def test_what_goes_wrong_while_a_batch_is_made_ready_reaches_who_asks_for_it():
    batches = in_batches(Numbers(fails_at=4), np.arange(10), np.zeros(10, int), 2)
    np.testing.assert_array_equal(next(batches)[0], [0, 1])
    np.testing.assert_array_equal(next(batches)[0], [2, 3])
    with pytest.raises(Failed, match="A photo has gone"):
        next(batches)


def test_whoever_stops_in_the_middle_leaves_no_thread_behind():
    batches = in_batches(Numbers(), np.arange(10), np.zeros(10, int), 2)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("next-batch")]


def test_the_network_gets_full_batches_though_photos_are_unreadable(tmp_path, monkeypatch):
    monkeypatch.setattr(activations, "KEPT_TOGETHER", 3)
    photos = draw_photos(tmp_path, 8)
    for number in (1, 2, 7):
        photos[number].path.write_bytes(b"no photo")
    batches = list(read_batches(photos, 16))
    assert [[photo.path.stem for photo, _ in batch] for batch in batches] == [
        ["000", "001", "002", "003", "004"],
        ["005", "006", "007"],
    ]
