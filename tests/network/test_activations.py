"""Extraction runs each photo once, whatever happens meanwhile, and does without room for what it would keep."""

from pathlib import Path

import keras
import numpy as np
import pytest
from helpers.pictures import draw_noise, draw_photos, encoded, place
from helpers.trained_runs import small_config
from keras import layers

from catdog.errors import Failed, Stopped
from catdog.files.shelves import clear_shelves, list_shelves, shelves_folder
from catdog.learning.training import train
from catdog.network import activations
from catdog.network.activations import ComputedActivations, Extraction
from catdog.photos.photo_sets import Photo
from catdog.photos.reading import digest_files, read_photo
from catdog.runs.events import read_events

SIZE = 16


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def network():
    """A small frozen part: activations at a boundary, and pooled features after it."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    boundary = layers.Conv2D(4, 3, 2)(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, [boundary, layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3)(boundary))])


class Extracting:
    """An extraction of photos that counts what runs through its network, as a process begins it."""

    def __init__(self, network: keras.Model, backbone: str = "b", image_size: int = SIZE, parent: Path | None = None):
        self.extraction = Extraction(network, backbone, image_size, "conv4", parent or shelves_folder())
        self.ran = 0
        self.progress: list[tuple[int, float]] = []
        run = self.extraction.runs["float32"]

        def count(photos: np.ndarray) -> list:
            self.ran += len(photos)
            return run(photos)

        self.extraction.runs["float32"] = count

    def extract(self, photos, digests=None, views=1, precise=False, on_progress=None, should_stop=lambda: False):
        """Extract photos, whose digests are those of their files unless given."""

        def listen(done, per_second):
            self.progress.append((done, per_second))
            if on_progress:
                on_progress()

        digests = digests or digest_files([photo.path for photo in photos])
        return self.extraction.extract(photos, digests, views, precise, listen, should_stop)


def assert_is_of(found, network: keras.Model, views: int = 1, precise: bool = False, image_size: int = SIZE) -> None:
    """Fails unless what was kept is what the network gives for each photo by itself."""
    indices = np.arange(len(found.photos))
    pixels = np.array([read_photo(photo.path, image_size) for photo in found.photos], np.float32)
    for view in range(views):
        boundary, pooled = network(pixels[:, :, ::-1] if view else pixels)
        in_view = np.full(len(indices), view)
        np.testing.assert_allclose(found.pooled.batch(indices, in_view), pooled, atol=1e-5)
        np.testing.assert_allclose(
            found.boundary.batch(indices, in_view), boundary, rtol=1e-5 if precise else 1e-3, atol=1e-5
        )
    assert found.digests == digest_files([photo.path for photo in found.photos])


def test_each_photo_runs_once(network, tmp_path):
    photos = draw_photos(tmp_path, 40)
    first = Extracting(network)
    assert_is_of(first.extract(photos), network)
    assert first.ran == 40
    assert [done for done, _ in first.progress] == [0, 32, 40, 40]
    again = Extracting(network)
    assert_is_of(again.extract(photos), network)
    assert again.ran == 0
    assert again.progress == [(40, 0.0)]


def test_an_added_photo_costs_one_photo_and_a_removed_one_none(network, tmp_path):
    photos = draw_photos(tmp_path, 5)
    Extracting(network).extract(photos)
    again = Extracting(network)
    assert_is_of(again.extract([*draw_photos(tmp_path, 1, first=7), *photos[1:]]), network)
    assert again.ran == 1


def test_a_photo_is_known_by_its_content(network, tmp_path):
    photos = draw_photos(tmp_path, 3)
    Extracting(network).extract(photos)
    moved = [Photo(photo.path.rename(tmp_path / f"moved {photo.path.name}"), photo.label) for photo in photos]
    place(tmp_path, moved[0].path.name, content=encoded(draw_noise(24, 20, 4, seed=99), "PNG"))
    again = Extracting(network)
    assert_is_of(again.extract(moved), network)
    assert again.ran == 1


def test_of_photos_with_the_same_content_one_runs(network, tmp_path):
    photos = draw_photos(tmp_path, 3)
    place(tmp_path, "copy.png", "copy of it.png", content=photos[1].path.read_bytes())
    photos += [Photo(tmp_path / "copy.png", 0), Photo(tmp_path / "copy of it.png", 1)]
    extracting = Extracting(network)
    found = extracting.extract(photos)
    assert extracting.ran == 3
    assert extracting.progress[-1][0] == 5
    assert found.photos == photos
    assert_is_of(found, network)


def test_a_mirrored_view_is_the_only_one_that_runs_where_the_other_is_there(network, tmp_path):
    photos = draw_photos(tmp_path, 6)
    both = Extracting(network)
    assert_is_of(both.extract(photos[:2], views=2), network, views=2)
    assert both.ran == 4
    Extracting(network).extract(photos)
    rest = Extracting(network)
    assert_is_of(rest.extract(photos, views=2), network, views=2)
    assert rest.ran == 4


@pytest.mark.parametrize("other", [{"image_size": 20}, {"backbone": "c"}])
def test_another_image_size_or_backbone_runs_all_again(network, tmp_path, other):
    photos = draw_photos(tmp_path, 4)
    Extracting(network).extract(photos)
    extracting = Extracting(network, **other)
    assert_is_of(extracting.extract(photos), network, image_size=other.get("image_size", SIZE))
    assert extracting.ran == 4


def test_what_figures_come_from_is_kept_in_float32_and_the_rest_in_float16(network, tmp_path):
    photos = draw_photos(tmp_path, 4)
    for precise, dtype in ((True, np.float32), (False, np.float16)):
        extracting = Extracting(network)
        found = extracting.extract(photos, precise=precise)
        assert extracting.ran == 4
        assert found.boundary.views[0][0].dtype == dtype
        assert found.pooled.views[0][0].dtype == np.float32
        assert found.boundary.batch(np.arange(1), np.zeros(1)).dtype == np.float32
        assert_is_of(found, network, precise=precise)


def test_unreadable_photos_are_left_out_with_reasons_and_tried_again(network, tmp_path):
    photos = draw_photos(tmp_path, 4)
    good = photos[1].path.read_bytes()
    place(tmp_path, "001.png", "copy.png", content=b"Dear cat, ")
    photos.append(Photo(tmp_path / "copy.png", 0))
    photos[3].path.unlink()
    extracting = Extracting(network)
    found = extracting.extract(photos)
    assert [left_out.path.name for left_out in found.left_out] == ["001.png", "003.png", "copy.png"]
    assert [left_out.reason for left_out in found.left_out] == [
        "it is a text file, not a photo",
        "there is no such file",
        "it is a text file, not a photo",
    ]
    assert found.photos == [photos[0], photos[2]]
    assert_is_of(found, network)
    assert (extracting.ran, extracting.progress[-1][0]) == (2, 5)

    photos[1].path.write_bytes(good)
    again = Extracting(network)
    found = again.extract(photos)
    assert again.ran == 1
    assert [left_out.path.name for left_out in found.left_out] == ["003.png", "copy.png"]
    assert_is_of(found, network)


def test_where_nothing_can_be_read_nothing_is_kept(network, tmp_path):
    place(tmp_path, "a.png", "b.png", content=b"")
    found = Extracting(network).extract([Photo(tmp_path / "a.png", 0), Photo(tmp_path / "b.png", 1)])
    assert (found.photos, len(found.pooled), len(found.boundary), len(found.left_out)) == ([], 0, 0, 2)


def test_a_photo_that_changes_meanwhile_is_kept_as_what_it_is(network, tmp_path):
    photos = draw_photos(tmp_path, 3)
    digests = digest_files([photo.path for photo in photos])
    photos[1].path.write_bytes(encoded(draw_noise(24, 20, 4, seed=50), "PNG"))
    photos[2].path.write_bytes(photos[0].path.read_bytes())
    found = Extracting(network).extract(photos, digests)
    assert found.digests == digest_files([photo.path for photo in photos])
    assert_is_of(found, network)


def test_a_stopped_extraction_goes_on_where_it_was(network, tmp_path):
    photos = draw_photos(tmp_path, 70)
    stopped = Extracting(network)
    with pytest.raises(Stopped, match="nothing to keep yet"):
        stopped.extract(photos, should_stop=lambda: stopped.ran >= 32)
    resumed = Extracting(network)
    assert_is_of(resumed.extract(photos), network)
    assert (stopped.ran, resumed.ran) == (32, 38)


def test_two_extractions_at_once_both_end_right(network, tmp_path):
    photos = draw_photos(tmp_path, 70)
    second = Extracting(network)
    found = []

    def overtake():
        if not found:
            found.append(second.extract(photos))

    first = Extracting(network)
    assert_is_of(first.extract(photos, on_progress=overtake), network)
    assert_is_of(found[0], network)
    assert {shelf.photos for shelf in list_shelves(shelves_folder())} == {70}


def test_shelves_that_are_cleared_meanwhile_are_filled_again(network, tmp_path):
    photos = draw_photos(tmp_path, 40)
    extracting = Extracting(network)
    cleared = []

    def clear():
        if extracting.ran == 32 and not cleared:
            cleared.append(clear_shelves(shelves_folder()))

    assert_is_of(extracting.extract(photos, on_progress=clear), network)
    assert cleared[0] > 0
    assert extracting.ran == 40 + 32


def test_shelves_that_are_cleared_again_and_again_end_in_a_sentence(network, tmp_path):
    photos = draw_photos(tmp_path, 2)
    extracting = Extracting(network)
    with pytest.raises(Failed, match="disappeared while they were in use: train once more"):
        extracting.extract(photos, on_progress=lambda: clear_shelves(shelves_folder()))


def test_a_damaged_row_runs_again(network, tmp_path):
    photos = draw_photos(tmp_path, 5)
    Extracting(network).extract(photos)
    (shelf,) = (shelf for shelf in list_shelves(shelves_folder()) if shelf.what["kind"] == "conv4")
    content = bytearray((shelf.folder / "rows.bin").read_bytes())
    content[len(content) // 2] ^= 1
    (shelf.folder / "rows.bin").write_bytes(content)
    again = Extracting(network)
    assert_is_of(again.extract(photos), network)
    assert again.ran == 1


def test_what_is_missing_is_counted_in_bytes(network, tmp_path):
    photos = draw_photos(tmp_path, 4)
    digests = digest_files([photo.path for photo in photos])
    extraction = Extracting(network).extraction
    numbers = 7 * 7 * 4  # at the boundary
    assert extraction.missing_bytes(photos, digests, 2, precise=False) == 4 * 2 * (2 * numbers + 4 * 5)
    assert extraction.missing_bytes(photos, digests, 1, precise=True) == 4 * 4 * (numbers + 5)
    Extracting(network).extract(photos[:3])
    assert extraction.missing_bytes(photos, digests, 2, precise=False) == (1 + 4) * (2 * numbers + 4 * 5)


def test_what_is_not_kept_is_computed_to_the_same(network, tmp_path):
    photos = draw_photos(tmp_path, 40)
    for precise in (False, True):
        kept = Extracting(network).extract(photos, views=2, precise=precise).boundary
        extracting = Extracting(network, backbone="c")
        extracting.extraction.keeps_boundary = False
        found = extracting.extract(photos, views=2, precise=precise)
        assert isinstance(found.boundary, ComputedActivations)
        assert len(found.boundary) == 40
        indices, views = np.arange(39, -1, -1), np.arange(40) % 2
        # Rounded as what is kept is: what comes out between two numbers of 16 bits may come out on either side.
        tolerance = {"rtol": 1e-6 if precise else 1e-3, "atol": 1e-6}
        mine, theirs = found.boundary.batch(indices, views), kept.batch(indices, views)
        np.testing.assert_allclose(mine, theirs, **tolerance)
        assert mine.dtype == np.float32
        assert (mine == mine.astype(np.float16)).all() == (not precise)
    assert {shelf.what["kind"] for shelf in list_shelves(shelves_folder()) if shelf.what["backbone"] == "c"} == {
        "pooled"
    }


def test_a_folder_that_can_not_be_written_raises(network, tmp_path):
    (tmp_path / "file").touch()
    extracting = Extracting(network, parent=tmp_path / "file" / "activations")
    with pytest.raises(OSError, match="Not a directory"):
        extracting.extract(draw_photos(tmp_path, 1))


@pytest.fixture
def photos_run(monkeypatch) -> list[int]:
    """How many photos each batch had that went through the frozen network."""
    counts = []
    run_photos = activations.run_photos

    def count(*arguments):
        for batch in run_photos(*arguments):
            counts.extend(len(digests) for digests, _ in batch.views if digests)
            yield batch

    monkeypatch.setattr(activations, "run_photos", count)
    return counts


def predictions_of(folder: Path) -> tuple[list[str], np.ndarray]:
    """The labels and the probabilities (n, classes) in a run's `predictions.csv`."""
    lines = [line.split(",") for line in (folder / "predictions.csv").read_text().splitlines()[1:]]
    return [line[2] for line in lines], np.array([line[3:] for line in lines], float)


def assert_same_predictions(folder: Path, other: Path) -> None:
    """Fails unless two runs gave the same labels, with probabilities within 0.001."""
    (labels, probabilities), (other_labels, other_probabilities) = predictions_of(folder), predictions_of(other)
    assert labels == other_labels
    np.testing.assert_allclose(probabilities, other_probabilities, atol=0.001)


def notes_of(folder: Path) -> list[str]:
    """What a run had to say."""
    return [event["message"] for event in read_events(folder)[0] if event["event"] == "note"]


def fine_tuning(drawings: Path, **other):
    """Settings of a run that keeps a boundary."""
    return small_config(drawings, **{"head_epochs": 1, "fine_tune_epochs": 1, **other})


def test_only_new_photos_run_whatever_else_a_run_changes(drawings, tmp_path, photos_run):
    train(fine_tuning(drawings), tmp_path / "first")
    assert sum(photos_run) == 64
    photos_run.clear()
    train(
        fine_tuning(drawings, head_learning_rate=0.01, fine_tune_learning_rate=0.001, seed=5, batch_size=4),
        tmp_path / "second",
    )
    # What is pooled was kept along with the boundary.
    train(small_config(drawings), tmp_path / "third")
    assert sum(photos_run) == 0


def test_a_cache_that_can_not_be_written_is_named_and_done_without(drawings, tmp_path, monkeypatch, photos_run):
    train(fine_tuning(drawings), tmp_path / "kept")
    (tmp_path / "file").touch()
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "file"))
    photos_run.clear()
    train(fine_tuning(drawings), tmp_path / "without")
    assert notes_of(tmp_path / "without") == [
        "The cache folder can't be written (Not a directory), so nothing is kept for later."
    ]
    assert sum(photos_run) == 64
    assert_same_predictions(tmp_path / "kept", tmp_path / "without")
    assert not (tmp_path / "without" / "checkpoint").exists()
    train(small_config(drawings), tmp_path / "head")
    assert len(notes_of(tmp_path / "head")) == 1


def test_a_limit_of_nothing_is_named_and_each_epoch_computes_anew(drawings, tmp_path, monkeypatch):
    settings = {"fine_tune_epochs": 2, "fine_tune_learning_rate": 0.0001, "augment": "mirror"}
    train(fine_tuning(drawings, **settings), tmp_path / "kept")
    assert notes_of(tmp_path / "kept") == []
    clear_shelves(shelves_folder())
    monkeypatch.setenv("CATDOG_CACHE_GB", "0")
    train(fine_tuning(drawings, **settings), tmp_path / "anew")
    notes = notes_of(tmp_path / "anew")
    assert [note.startswith("There is no room to keep ") for note in notes] == [True, True]
    assert_same_predictions(tmp_path / "kept", tmp_path / "anew")
    assert list_shelves(shelves_folder()) == []
    assert not (tmp_path / "anew" / "checkpoint").exists()
