"""Each kind of problem is found, each rule holds at its bound, and a photo set without faults has none."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.pictures import altered, draw_scene, encoded, place, save_scene
from helpers.processes import one_json_object
from PIL import Image, ImageDraw

from catdog.__main__ import main
from catdog.photos.photo_sets import find_photo_set, photos_below
from catdog.photos.problems import FEWEST_TO_LEARN, FEWEST_TO_VALIDATE, KINDS, TINY_SIDE, Problem, check_photos

SHARED = os.environ.get("CATDOG_SHARED", "")


@pytest.fixture(scope="module")
def faultless(tmp_path_factory) -> Path:
    """As few photos as are enough, sorted into training and validation, with nothing wrong."""
    folder = tmp_path_factory.mktemp("faultless")
    seed = 0
    for split, count in (("train", FEWEST_TO_LEARN), ("validation", FEWEST_TO_VALIDATE)):
        for name in ("cats", "dogs"):
            for number in range(count):
                save_scene(folder / split / name / f"{number:02}.jpg", seed)
                seed += 1
    return folder


@pytest.fixture
def photos(faultless, tmp_path) -> Path:
    """A copy of the faultless photos."""
    return shutil.copytree(faultless, tmp_path / "photos")


def problems_of(folder: Path, leave_out: tuple[str, ...] = ()) -> list[Problem]:
    """What is wrong with a folder's photos."""
    return check_photos(find_photo_set(folder, leave_out=leave_out), seed=0)[1]


def the_problem(folder: Path) -> tuple[str, list[str], str, list[str]]:
    """The only problem of a folder: its kind, its photos, its words, and what could be left out."""
    (problem,) = problems_of(folder)
    paths, leave_out = (
        [path.relative_to(folder).as_posix() for path in each] for each in (problem.paths, problem.leave_out)
    )
    return problem.kind, paths, problem.message, leave_out


def test_nothing_is_wrong_with_faultless_photos(photos):
    assert problems_of(photos) == []


def test_the_same_file_in_training_and_validation(photos):
    shutil.copy(photos / "train/cats/03.jpg", photos / "validation/cats/copy.jpg")
    assert the_problem(photos) == (
        "across-splits",
        ["train/cats/03.jpg", "validation/cats/copy.jpg"],
        "train/cats/03.jpg and validation/cats/copy.jpg are the same picture, in train and validation.",
        ["train/cats/03.jpg"],
    )


@pytest.mark.parametrize("way", ["resized", "encoded anew", "mirrored", "cropped"])
def test_an_altered_copy_in_validation(photos, way):
    with Image.open(photos / "train/dogs/05.jpg") as picture:
        save_scene(photos / "validation/dogs/copy.png", altered(picture, way))
    kind, paths, message, leave_out = the_problem(photos)
    assert (kind, leave_out) == ("across-splits", ["train/dogs/05.jpg"])
    assert paths == ["train/dogs/05.jpg", "validation/dogs/copy.png"]
    assert "are nearly the same picture, in train and validation" in message


def test_of_a_picture_that_is_tested_with_the_test_copy_stays(photos):
    for split, name in (("test", "cats"), ("test", "dogs")):
        for number in range(2):
            save_scene(photos / split / name / f"{number}.jpg", 1000 + number + 10 * (name == "dogs"))
    for split in ("train", "validation"):
        shutil.copy(photos / "test/cats/1.jpg", photos / split / "cats" / "copy.jpg")
    kind, _, message, leave_out = the_problem(photos)
    assert kind == "across-splits"
    assert message.endswith("in train, validation and test.")
    assert leave_out == ["validation/cats/copy.jpg", "train/cats/copy.jpg"]


def test_the_same_picture_under_two_classes(photos):
    shutil.copy(photos / "train/cats/03.jpg", photos / "train/dogs/copy.jpg")
    both = ["train/cats/03.jpg", "train/dogs/copy.jpg"]
    words = "train/cats/03.jpg and train/dogs/copy.jpg are the same picture, under the classes cats and dogs."
    assert the_problem(photos) == ("across-classes", both, words, both)


def test_under_two_classes_and_on_both_sides_is_wrong_twice_the_worse_first(photos):
    shutil.copy(photos / "train/cats/03.jpg", photos / "validation/dogs/copy.jpg")
    assert [problem.kind for problem in problems_of(photos)] == ["across-splits", "across-classes"]


def test_copies_on_one_side(photos):
    for number in range(5):
        shutil.copy(photos / "train/cats/00.jpg", photos / "train/cats" / f"copy {number}.jpg")
    with Image.open(photos / "validation/dogs/01.jpg") as picture:
        save_scene(photos / "validation/dogs/00 smaller.jpg", altered(picture, "resized"))
    duplicate, near = problems_of(photos)
    assert (duplicate.kind, near.kind) == ("duplicate", "near-duplicate")
    assert duplicate.message == (
        "train/cats/00.jpg, train/cats/copy 0.jpg, train/cats/copy 1.jpg and 3 more are the same picture, in train."
    )
    assert [path.name for path in duplicate.leave_out] == [f"copy {number}.jpg" for number in range(5)]
    assert "are nearly the same picture, in validation." in near.message
    # The larger one stays.
    assert [path.name for path in near.leave_out] == ["00 smaller.jpg"]


def test_what_could_be_left_out_mends_it(photos):
    shutil.copy(photos / "train/cats/03.jpg", photos / "validation/cats/copy.jpg")
    shutil.copy(photos / "train/cats/04.jpg", photos / "train/cats/copy.jpg")
    save_scene(photos / "train/cats/tiny.png", draw_scene(900, 30, 30))
    for number in range(2):
        save_scene(photos / "train/cats" / f"more {number}.png", 950 + number)
    unwanted = [path for problem in problems_of(photos) for path in problem.leave_out]
    assert len(unwanted) == 3
    assert problems_of(photos, tuple(path.relative_to(photos).as_posix() for path in unwanted)) == []


def test_an_unreadable_file(photos):
    place(photos, "train/cats/letter.jpg", content=b"Dear cat,")
    message = f"{photos / 'train/cats/letter.jpg'}: it is a text file, not a photo."
    assert the_problem(photos) == ("unreadable", ["train/cats/letter.jpg"], message, [])


def test_a_tiny_photo_has_a_side_below_the_bound(photos):
    save_scene(photos / "train/cats/small.png", draw_scene(900, 300, TINY_SIDE))
    assert problems_of(photos) == []
    save_scene(photos / "train/cats/tiny.png", draw_scene(901, 300, TINY_SIDE - 1))
    name = "train/cats/tiny.png"
    words = f"{name} has 300 x 63 pixels: the shorter side should have 64 or more."
    assert the_problem(photos) == ("tiny", [name], words, [name])


def test_a_blank_photo_has_hardly_any_contrast(photos):
    # Half black, half so much lighter: the standard deviation is half of that.
    for levels, name in ((7, "dim"), (5, "blank")):
        picture = Image.new("L", (128, 128), 0)
        ImageDraw.Draw(picture).rectangle((0, 0, 127, 63), levels)
        save_scene(photos / "train" / "dogs" / f"{name}.png", picture)
    name = "train/dogs/blank.png"
    words = f"{name} has hardly any contrast: nothing can be seen in it."
    assert the_problem(photos) == ("blank", [name], words, [name])


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("train", "dogs has 19 train photos: 20 or more are needed to learn a class from."),
        ("validation", "dogs has 4 validation photos: 5 or more are needed to judge a class by."),
    ],
)
def test_too_few_photos_are_one_less_than_enough(photos, split, words):
    (photos / split / "dogs" / "00.jpg").unlink()
    assert the_problem(photos) == ("too-few", [], words, [])


def test_a_class_outweighs_another_from_more_than_three_times_on(photos):
    for number in range(2 * FEWEST_TO_LEARN):
        save_scene(photos / "train/cats" / f"more {number}.jpg", 500 + number)
    assert problems_of(photos) == []
    save_scene(photos / "train/cats/one more.jpg", 600)
    words = (
        "cats has 61 training photos and dogs 20: over 3 times as many. Add photos of dogs, or leave out some of cats."
    )
    assert the_problem(photos) == ("imbalance", [], words, [])


@pytest.mark.lowest
def test_check_prints_each_kind_the_worst_first(photos, capfd):
    shutil.copy(photos / "train/cats/03.jpg", photos / "validation/cats/copy.jpg")
    shutil.copy(photos / "train/cats/04.jpg", photos / "train/dogs/copy.jpg")
    place(photos, "train/cats/letter.jpg", content=b"Dear cat,")
    save_scene(photos / "train/cats/grey.png", Image.new("RGB", (50, 50), "grey"))
    (photos / "validation" / "dogs" / "00.jpg").unlink()
    assert main(["check", str(photos), "--json"]) == 0
    printed = capfd.readouterr()
    found = one_json_object(printed.out)
    kinds = ["across-splits", "across-classes", "unreadable", "blank", "tiny", "too-few"]
    assert [problem["kind"] for problem in found["problems"]] == kinds
    assert list(KINDS)[:2] == kinds[:2]
    assert all(problem.keys() == {"kind", "paths", "message"} for problem in found["problems"])
    assert found["problems"][0]["paths"] == [
        str(photos / "train/cats/03.jpg"),
        str(photos / "validation/cats/copy.jpg"),
    ]
    assert "Looking through the photos" in printed.err
    assert main(["check", str(photos)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[2:-1]] == kinds
    assert lines[-1] == "6 problems were found."


def test_check_leaves_out_what_it_is_told_to(photos, tmp_path, capfd):
    shutil.copy(photos / "train/cats/03.jpg", photos / "validation/cats/copy.jpg")
    listed = tmp_path / "list.txt"
    listed.write_text("validation/cats/copy.jpg\n\n")
    assert main(["check", str(photos), "--leave-out", str(listed), "--json"]) == 0
    found = one_json_object(capfd.readouterr().out)
    assert found == {
        "photos": {"train": {"cats": 20, "dogs": 20}, "validation": {"cats": 5, "dogs": 5}},
        "problems": [],
    }
    listed.write_text("cats/copy.jpg\n")
    assert main(["check", str(photos), "--leave-out", str(listed)]) == 2
    assert "cats/copy.jpg is to be left out but is not among the photos" in capfd.readouterr().err


def plant(original: Path, target: Path, way: str) -> None:
    """Write an altered copy of a real photo."""
    with Image.open(original) as picture:
        target.write_bytes(encoded(altered(picture.convert("RGB"), way), "JPEG", quality=60 if "anew" in way else 88))


def planted(folder: Path, kinds: dict[str, int], choose: Callable[[list[Path]], Path]) -> set[frozenset[Path]]:
    """Plant altered copies of a folder's training photos among its validation photos; gives each pair."""
    pairs = set()
    for way, count in kinds.items():
        for number in range(count):
            original = choose(photos_below(folder / "train"))
            target = folder / "validation" / original.parent.name / f"planted {way} {number}.jpg"
            plant(original, target, way)
            pairs.add(frozenset({original, target}))
    return pairs


@pytest.mark.photos
@pytest.mark.parametrize("seed", range(3))
def test_planted_copies_among_real_photos_are_found_and_few_others(tmp_path, seed):
    folder = shutil.copytree(Path(SHARED, "photos"), tmp_path / "photos")
    untouched = {problem.paths for problem in problems_of(folder)}
    pairs = planted(
        folder,
        dict.fromkeys(("resized", "encoded anew", "mirrored", "cropped"), 5),
        random.Random(seed).choice,
    )
    assert len(pairs) == 20
    found = problems_of(folder)
    across = [set(problem.paths) for problem in found if problem.kind == "across-splits"]
    assert sum(any(pair <= group for group in across) for pair in pairs) >= 19
    assert len({problem.paths for problem in found} - untouched) <= len(pairs)
