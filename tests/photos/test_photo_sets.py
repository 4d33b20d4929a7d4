import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import place

from catdog.errors import Refused
from catdog.photos.photo_sets import (
    Photo,
    find_evaluation_photos,
    find_photo_set,
    labels_of,
    photos_below,
)

HINT = "it needs train/<class> and validation/<class> folders, or one folder per class"
SORTED = ("train/cats/1.jpg", "train/dogs/1.jpg", "train/dogs/2.jpg", "validation/cats/3.jpg", "validation/dogs/3.jpg")
TEXT = b"These are not the photos you are looking for."


def named(folder: Path, photos: list[Photo]) -> list[tuple[str, int]]:
    """The photos as relative paths and labels."""
    return [(photo.path.relative_to(folder).as_posix(), photo.label) for photo in photos]


def split_of(folder: Path, seed: int = 0) -> dict[str, set[str]]:
    """The relative paths of a photo set's photos, by split."""
    splits = find_photo_set(folder, seed).splits
    return {split: {path for path, _ in named(folder, photos)} for split, photos in splits.items()}


def refusal(folder: Path | str) -> str:
    """The sentence with which a folder is refused, after a look at whether it is one."""
    with pytest.raises(Refused) as raised:
        find_photo_set(folder)
    sentence = str(raised.value)
    assert sentence.endswith(".")
    assert sentence[0].isupper() or sentence.startswith(str(folder))
    return sentence


def place_flat(folder: Path, **counts: int) -> None:
    """A flat folder of so many photos of each class."""
    for name, count in counts.items():
        place(folder, *(f"{name}/{number}.jpg" for number in range(count)))


@pytest.mark.parametrize(
    ("train", "validation"),
    [("train", "validation"), ("train", "val"), ("train", "valid"), ("TRAIN", "Validation"), ("Train", "VAL")],
)
def test_train_and_validation_folders(train, validation, tmp_path):
    place(tmp_path, *(name.replace("train", train).replace("validation", validation) for name in SORTED))
    photo_set = find_photo_set(tmp_path)
    assert photo_set.folder == tmp_path
    assert photo_set.class_names == ("cats", "dogs")
    assert list(photo_set.splits) == ["train", "validation"]
    assert named(tmp_path / train, photo_set.splits["train"]) == [
        ("cats/1.jpg", 0),
        ("dogs/1.jpg", 1),
        ("dogs/2.jpg", 1),
    ]
    assert named(tmp_path / validation, photo_set.splits["validation"]) == [("cats/3.jpg", 0), ("dogs/3.jpg", 1)]
    assert photo_set.counts() == {"train": {"cats": 1, "dogs": 2}, "validation": {"cats": 1, "dogs": 1}}


def test_a_test_folder_is_kept_apart(tmp_path):
    place(tmp_path, *SORTED, "Test/cats/4.jpg", "Test/dogs/4.jpg", "extra/more/5.jpg")
    photo_set = find_photo_set(str(tmp_path))
    assert list(photo_set.splits) == ["train", "validation", "test"]
    assert named(tmp_path, photo_set.splits["test"]) == [("Test/cats/4.jpg", 0), ("Test/dogs/4.jpg", 1)]


def test_without_a_validation_folder_train_is_split_and_test_is_not(tmp_path):
    place_flat(tmp_path / "train", cats=10, dogs=5)
    place_flat(tmp_path / "test", cats=3, dogs=3)
    assert find_photo_set(tmp_path).counts() == {
        "train": {"cats": 8, "dogs": 4},
        "validation": {"cats": 2, "dogs": 1},
        "test": {"cats": 3, "dogs": 3},
    }


@pytest.mark.parametrize(
    ("photos", "validation"), [(2, 1), (3, 1), (7, 1), (8, 2), (10, 2), (12, 2), (13, 3), (100, 20)]
)
def test_a_flat_folder_gives_a_fifth_of_each_class_to_validation(photos, validation, tmp_path):
    place_flat(tmp_path, cats=photos, dogs=10)
    photo_set = find_photo_set(tmp_path)
    assert photo_set.counts() == {
        "train": {"cats": photos - validation, "dogs": 8},
        "validation": {"cats": validation, "dogs": 2},
    }
    splits = photo_set.splits
    assert not set(splits["train"]) & set(splits["validation"])
    assert all(photos == sorted(photos) for photos in splits.values())


def test_the_seed_decides_the_split_and_the_place_of_the_folder_does_not(tmp_path):
    place_flat(tmp_path / "here", cats=30, dogs=30)
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "deeper")
    first = split_of(tmp_path / "here", seed=7)
    assert split_of(tmp_path / "here", seed=7) == first
    assert split_of(tmp_path / "there" / "deeper", seed=7) == first
    others = [split_of(tmp_path / "here", seed)["validation"] for seed in range(8, 12)]
    assert all(other != first["validation"] for other in others)
    # Both classes are drawn from on their own: the same numbers are not taken from each.
    numbers = [
        {path.split("/")[1] for path in first["validation"] if path.startswith(name)} for name in ("cats", "dogs")
    ]
    assert numbers[0] != numbers[1]


def test_adding_a_photo_moves_at_most_one_other(tmp_path):
    place_flat(tmp_path, cats=40, dogs=20)
    before = split_of(tmp_path)["validation"]
    for number in range(40, 60):
        place(tmp_path, f"cats/{number}.jpg")
        after = split_of(tmp_path)["validation"]
        assert len((before ^ after) - {f"cats/{number}.jpg"}) <= 1
        before = after
    assert any(path.startswith("cats/4") or path.startswith("cats/5") for path in before)


def test_three_classes_are_labelled_in_the_order_of_their_names(tmp_path):
    place_flat(tmp_path, dogs=5, Zebras=5, cats=5)
    photo_set = find_photo_set(tmp_path)
    assert photo_set.class_names == ("Zebras", "cats", "dogs")
    assert {(photo.path.parent.name, photo.label) for photo in photo_set.splits["train"]} == {
        ("Zebras", 0),
        ("cats", 1),
        ("dogs", 2),
    }
    labels = labels_of(photo_set.splits["validation"])
    assert labels.dtype == np.int32
    assert labels.tolist() == [0, 1, 2]


def test_names_may_hold_any_character(tmp_path):
    place(tmp_path, "my cats/a b.JPG", "my cats/Мурка.png", "Hündchen 🐶/50%.jpeg", "Hündchen 🐶/c:d'e\"f.webp")
    photo_set = find_photo_set(tmp_path)
    assert photo_set.class_names == ("Hündchen 🐶", "my cats")
    assert sum(map(len, photo_set.splits.values())) == 4


@pytest.mark.skipif(os.name != "posix", reason="Elsewhere names are Unicode.")
def test_a_name_that_is_not_unicode_is_split_like_any_other(tmp_path):
    for name in (b"cats/b\xff.jpg", b"cats/c.jpg", b"dogs/b\xff.jpg", b"dogs/c.jpg"):
        place(tmp_path, os.fsdecode(name))
    assert find_photo_set(tmp_path).counts() == {
        "train": {"cats": 1, "dogs": 1},
        "validation": {"cats": 1, "dogs": 1},
    }


def test_hidden_and_foreign_files_are_ignored(tmp_path):
    place(tmp_path, *SORTED)
    before = find_photo_set(tmp_path)
    place(
        tmp_path, ".hidden/cats/1.jpg", "__MACOSX/train/cats/._1.jpg", "train/.thumbnails/1.jpg", "train/__MACOSX/1.jpg"
    )
    place(tmp_path, "train/cats/._1.jpg", "train/cats/.cache/1.jpg", "train/cats/__MACOSX/1.jpg", "train/stray.jpg")
    place(tmp_path, "train/cats/notes.txt", "train/dogs/Thumbs.db", "train/dogs/raw.cr2", "vectorize.py")
    assert find_photo_set(tmp_path) == before


def test_folders_inside_a_class_belong_to_it(tmp_path):
    place(tmp_path, "cats/1.jpg", "cats/kittens/2.jpg", "cats/kittens/very/small/3.JPEG", "cats/odd.jpg/4.jpg")
    place(tmp_path, "dogs/a/1.jpg", "dogs/b/1.jpg")
    splits = split_of(tmp_path)
    assert splits["train"] | splits["validation"] == {
        "cats/1.jpg",
        "cats/kittens/2.jpg",
        "cats/kittens/very/small/3.JPEG",
        "cats/odd.jpg/4.jpg",
        "dogs/a/1.jpg",
        "dogs/b/1.jpg",
    }


def test_photos_are_found_by_their_ending_in_sorted_order_and_links_to_folders_are_not_followed(tmp_path):
    place(tmp_path, "b/2.HEIC", "a/3.avif", "a.gif", "b/1.txt", "c.bmp")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in photos_below(tmp_path)] == [
        "a/3.avif",
        "a.gif",
        "b/2.HEIC",
        "c.bmp",
    ]


def test_a_class_of_a_flat_folder_may_be_named_like_a_split(tmp_path):
    place_flat(tmp_path, plane=5, train=5)
    assert find_photo_set(tmp_path).class_names == ("plane", "train")


def test_an_empty_validation_folder_counts_as_none(tmp_path):
    place_flat(tmp_path / "train", cats=5, dogs=5)
    (tmp_path / "validation").mkdir()
    assert find_photo_set(tmp_path).counts()["validation"] == {"cats": 1, "dogs": 1}


def test_an_unsorted_test_folder_is_passed_over(tmp_path):
    place(tmp_path, *SORTED, "test/1.jpg", "test/2.jpg")
    assert list(find_photo_set(tmp_path).splits) == ["train", "validation"]


def test_missing_folders_and_files_in_their_place_are_refused(tmp_path):
    place(tmp_path, "photo.jpg")
    assert refusal(tmp_path / "none") == f"There is no folder {tmp_path / 'none'}."
    assert refusal(tmp_path / "photo.jpg" / "x") == f"There is no folder {tmp_path / 'photo.jpg' / 'x'}."
    assert refusal(str(tmp_path / "photo.jpg")) == f"{tmp_path / 'photo.jpg'} is a file, not a folder of photos."
    assert refusal("long" * 100) == f"The folder {'long' * 100} can't be read (File name too long)."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("closed", ["", "train", "train/cats"])
def test_a_folder_without_permission_is_refused(closed, tmp_path):
    place(tmp_path / "data", *SORTED)
    (tmp_path / "data" / closed).chmod(0)
    try:
        sentence = refusal(tmp_path / "data")
    finally:
        (tmp_path / "data" / closed).chmod(0o755)
    assert sentence == f"The folder {tmp_path / 'data' / closed} can't be read (Permission denied)."


def test_a_folder_inside_a_class_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    place_flat(tmp_path, cats=5, dogs=5)
    scan = os.scandir

    def scandir(path):
        if Path(path).name == "dogs":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert refusal(tmp_path) == f"The folder {tmp_path / 'dogs'} can't be read (Permission denied)."


@pytest.mark.parametrize(
    ("names", "blamed"),
    [
        (["1.jpg", "2.jpg"], ""),
        (["train/1.jpg"], "train"),
        (["train/1.jpg", "validation/2.jpg"], "train"),
        (["train/cats/1.jpg", "train/dogs/1.jpg", "validation/1.jpg"], "validation"),
        (["train/1.jpg", "validation/cats/1.jpg", "validation/dogs/1.jpg"], "train"),
    ],
)
def test_unsorted_photos_are_refused(names, blamed, tmp_path):
    place(tmp_path, *names)
    assert refusal(tmp_path) == f"The photos in {tmp_path / blamed} are not sorted into classes: {HINT}."


@pytest.mark.parametrize("names", [[], ["notes.txt"], [".hidden/1.jpg", "__MACOSX/1.jpg", "._1.jpg"]])
def test_a_folder_without_photos_is_refused(names, tmp_path):
    place(tmp_path, *names)
    assert refusal(tmp_path) == f"There are no photos in {tmp_path}: {HINT}."


def test_an_empty_train_folder_is_refused(tmp_path):
    place(tmp_path, "train/notes.txt", "validation/cats/1.jpg", "validation/dogs/1.jpg")
    assert refusal(tmp_path) == f"There are no photos in {tmp_path / 'train'}: {HINT}."


@pytest.mark.parametrize("names", [["cats/1.jpg", "cats/2.jpg"], ["train/cats/1.jpg", "validation/cats/1.jpg"]])
def test_one_class_alone_is_refused(names, tmp_path):
    place(tmp_path, *names)
    folder = tmp_path / "train" if names[0].startswith("train") else tmp_path
    assert refusal(tmp_path) == f"{folder} has one class alone, cats: add a folder of photos of another class."


@pytest.mark.parametrize("names", [SORTED, ("cats/1.jpg", "cats/2.jpg", "dogs/1.jpg", "dogs/2.jpg")])
def test_a_folder_around_the_right_one_gets_a_hint(names, tmp_path):
    inner = tmp_path / "cats_and_dogs_filtered"
    place(inner, *names)
    place(tmp_path, "__MACOSX/1.jpg", "readme.txt")
    assert refusal(tmp_path) == f"{tmp_path} holds only the folder cats_and_dogs_filtered: name {inner} instead."
    find_photo_set(inner)


def test_no_train_folder_is_refused(tmp_path):
    place(tmp_path, "validation/cats/1.jpg", "validation/dogs/1.jpg", "test/cats/1.jpg", "test/dogs/1.jpg")
    assert refusal(tmp_path) == f"{tmp_path} has test, validation but no train folder: {HINT}."


def test_two_validation_folders_are_refused(tmp_path):
    place(tmp_path, *SORTED, "val/cats/1.jpg", "val/dogs/1.jpg")
    assert refusal(tmp_path) == f"{tmp_path} has both val and validation: keep one of them."


@pytest.mark.parametrize("split", ["validation", "test"])
def test_classes_that_differ_from_those_of_train_are_refused(split, tmp_path):
    place(tmp_path, *SORTED, "test/cats/4.jpg", "test/dogs/4.jpg", f"{split}/birds/5.jpg")
    assert refusal(tmp_path) == f"{tmp_path / split} has the class birds, but train has cats and dogs only."
    place(tmp_path, "train/birds/1.jpg", "train/fish/1.jpg", "validation/birds/1.jpg", "validation/fish/1.jpg")
    place(tmp_path, "test/birds/1.jpg", "test/fish/1.jpg")
    shutil.rmtree(tmp_path / split / "fish")
    assert refusal(tmp_path) == (
        f"{tmp_path / split} has no folder fish, which train has: each class needs photos in both."
    )


@pytest.mark.parametrize("folder", ["train/dogs", "validation/cats"])
def test_a_class_without_photos_is_refused(folder, tmp_path):
    place(tmp_path, *SORTED)
    for path in (tmp_path / folder).iterdir():
        path.unlink()
    place(tmp_path, f"{folder}/notes.txt", f"{folder}/.hidden.jpg")
    assert refusal(tmp_path) == (f"The class folder {tmp_path / folder} has no photos: add some, or remove the folder.")


def test_a_class_in_which_nothing_can_be_read_is_refused(tmp_path):
    place(tmp_path, *SORTED)
    place(tmp_path, "train/dogs/1.jpg", "train/dogs/2.jpg", content=TEXT)
    assert refusal(tmp_path) == (
        f"None of the photos in {tmp_path / 'train/dogs'} can be read (1.jpg: it is a text file, not a photo)."
    )
    place(tmp_path, "train/dogs/3.jpg")
    assert find_photo_set(tmp_path).counts()["train"] == {"cats": 1, "dogs": 3}


def test_a_class_of_one_photo_cannot_be_split(tmp_path):
    place_flat(tmp_path, cats=5, dogs=1)
    assert refusal(tmp_path) == (
        f"The class dogs in {tmp_path} has one photo: it needs two, one of them to validate with."
    )


def test_a_flat_folder_is_evaluated_whole(tmp_path):
    place_flat(tmp_path, cats=3, dogs=2)
    photos = find_evaluation_photos(str(tmp_path), ("cats", "dogs"))
    assert named(tmp_path, photos) == [*((f"cats/{n}.jpg", 0) for n in range(3)), ("dogs/0.jpg", 1), ("dogs/1.jpg", 1)]


def test_evaluation_takes_the_test_folder_or_else_validation(tmp_path):
    place(tmp_path, *SORTED)
    photos = find_evaluation_photos(tmp_path, ("cats", "dogs"))
    assert named(tmp_path, photos) == [("validation/cats/3.jpg", 0), ("validation/dogs/3.jpg", 1)]
    place(tmp_path, "test/cats/4.jpg", "test/dogs/4.jpg")
    photos = find_evaluation_photos(tmp_path, ("cats", "dogs"))
    assert named(tmp_path, photos) == [("test/cats/4.jpg", 0), ("test/dogs/4.jpg", 1)]


def test_evaluation_labels_are_the_classifiers_of_which_some_may_lack(tmp_path):
    place_flat(tmp_path, cats=1, dogs=1)
    photos = find_evaluation_photos(tmp_path, ("birds", "cats", "dogs"))
    assert named(tmp_path, photos) == [("cats/0.jpg", 1), ("dogs/0.jpg", 2)]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["cats/1.jpg", "mice/1.jpg"], "{} has the class mice, but the classifier knows cats and dogs only."),
        (
            ["train/cats/1.jpg", "train/dogs/1.jpg"],
            "{} has photos to train on but none to evaluate with: add a validation or a test folder.",
        ),
        (["1.jpg"], "The photos in {} are not sorted into classes: " + HINT + "."),
        (["cats/1.jpg", "dogs/1.txt"], "The class folder {}/dogs has no photos: add some, or remove the folder."),
        ([], "There are no photos in {}: " + HINT + "."),
    ],
)
def test_what_cannot_be_evaluated_is_refused(names, sentence, tmp_path):
    place(tmp_path, *names)
    with pytest.raises(Refused) as raised:
        find_evaluation_photos(tmp_path, ("cats", "dogs"))
    assert str(raised.value) == sentence.format(tmp_path)
