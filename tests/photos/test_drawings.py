import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageStat

from catdog.errors import Refused
from catdog.photos.drawings import SIDE, Scene, draw_animal, draw_photo_set


def digests(folder: Path) -> dict[str, str]:
    """The digest of each file's bytes, by its path in the folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_set_has_the_layout_of_a_photo_set(tmp_path):
    (tmp_path / "new").mkdir()  # an empty folder will do
    draw_photo_set(tmp_path / "new", train=6, validation=4)
    assert sorted(digests(tmp_path / "new")) == [
        *(f"train/{kind}s/{kind}_00{number}.jpg" for kind in ("cat", "dog") for number in (1, 2, 3)),
        *(f"validation/{kind}s/{kind}_00{number}.jpg" for kind in ("cat", "dog") for number in (1, 2)),
    ]
    for path in tmp_path.rglob("*.jpg"):
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (SIDE, SIDE))
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_seed_gives_the_same_bytes_and_another_seed_other_pictures(tmp_path):
    for name, seed in (("once", 3), ("twice", 3), ("other", 4)):
        draw_photo_set(tmp_path / name, train=6, validation=4, seed=seed)
    once, twice, other = (digests(tmp_path / name) for name in ("once", "twice", "other"))
    assert once == twice
    assert len(set(once.values()) | set(other.values())) == 20  # no picture comes twice, in or between the sets


def test_progress_counts_every_picture(tmp_path):
    seen = []
    draw_photo_set(tmp_path / "new", train=3, validation=2, on_progress=lambda *step: seen.append(step))
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear dog")
    with pytest.raises(Refused, match=r"mine is there already and isn't an empty folder: [^\n]+\.$"):
        draw_photo_set(tmp_path / "mine", train=2, validation=2)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "letter.txt"]
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear dog"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Refused, match=r"^The drawings can't be written to .*file/new \([^\n]+\): [^\n]+\.$"):
        draw_photo_set(tmp_path / "file" / "new", train=2, validation=2)


@pytest.mark.parametrize("existing", [False, True])
def test_a_disk_that_fills_up_leaves_nothing_half_written(existing, tmp_path):
    if existing:
        (tmp_path / "new").mkdir()

    def fill_up(done, total):
        if done == 3:
            raise OSError(28, "No space left on device")

    with pytest.raises(Refused, match="No space left on device"):
        draw_photo_set(tmp_path / "new", train=4, validation=2, on_progress=fill_up)
    assert [path.name for path in tmp_path.rglob("*")] == ["new"] * existing


@pytest.mark.parametrize("view", ["face", "profile"])
def test_cat_and_dog_of_one_scene_differ_but_by_their_shape_alone(view):
    scenes = [scene for scene in map(Scene, range(40)) if scene.view == view]
    assert len(scenes) > 7
    for scene in scenes:
        cat, dog = (np.asarray(draw_animal(kind, scene), int) for kind in ("cat", "dog"))
        differing = (np.abs(cat - dog).max(axis=-1) > 16).mean()
        assert 0.01 < differing < 0.4  # head and tail; backdrop, body, extras stay
        assert np.abs(cat.mean(axis=(0, 1)) - dog.mean(axis=(0, 1))).max() < 12


def test_colour_and_ink_do_not_give_the_animal_away():
    kinds = ["cat", "dog"] * 120
    pictures = [draw_animal(kind, Scene(f"colour {number}")) for number, kind in enumerate(kinds)]
    # Mean and spread of each channel, what a person sees from across the street.
    colours = np.array([ImageStat.Stat(picture).mean + ImageStat.Stat(picture).stddev for picture in pictures])
    colours /= colours.std(axis=0)
    is_dog = np.array(kinds) == "dog"
    known = np.arange(240) < 120
    cat_mean, dog_mean = (colours[known & (is_dog == dog)].mean(axis=0) for dog in (False, True))
    nearer_dog = np.linalg.norm(colours - dog_mean, axis=1) < np.linalg.norm(colours - cat_mean, axis=1)
    # Of 120 fair coins as many fall outside of 0.36 to 0.64 once in some 500 times.
    assert 0.36 < (nearer_dog == is_dog)[~known].mean() < 0.64
    # In standard deviations of one picture; the means of 120 are some 0.13 apart by chance.
    assert np.abs(colours[is_dog].mean(axis=0) - colours[~is_dog].mean(axis=0)).max() < 0.4
