"""Photos that are left out, that count as another class, and that stay on one side."""

from pathlib import Path

import pytest
from helpers.pictures import place
from test_photo_sets import SORTED, place_flat, split_of

from catdog.errors import Refused
from catdog.photos.photo_sets import (
    LeftOut,
    find_photo_set,
    keep_together,
)


def test_what_was_left_out_reads_as_a_sentence():
    assert LeftOut(Path("cats/1.jpg"), "the file is empty").sentence == "cats/1.jpg: the file is empty."


def test_photos_can_be_left_out(tmp_path):
    place(tmp_path, *SORTED, "test/cats/4.jpg", "test/cats/5.jpg", "test/dogs/4.jpg", "validation/cats/more.jpg")
    place(tmp_path, "train/cats/more.jpg")
    before = find_photo_set(tmp_path)
    unwanted = {"train/cats/more.jpg", "test/cats/5.jpg", "validation/cats/more.jpg"}
    after = find_photo_set(tmp_path, leave_out=unwanted)
    gone = set(before.paths()) - set(after.paths())
    assert gone == {tmp_path / path for path in unwanted}
    assert set(after.paths()) < set(before.paths())
    assert all(path.exists() for path in before.paths())


def test_what_is_left_out_is_not_drawn(tmp_path):
    place_flat(tmp_path, cats=11, dogs=10)
    drawn = split_of(tmp_path)["validation"]
    unwanted = next(path for path in sorted(drawn) if path.startswith("cats"))
    photo_set = find_photo_set(tmp_path, leave_out=[unwanted])
    assert photo_set.counts() == {"train": {"cats": 8, "dogs": 8}, "validation": {"cats": 2, "dogs": 2}}
    assert tmp_path / unwanted not in photo_set.paths()


@pytest.mark.parametrize("path", ["train/cats/9.jpg", "cats/1.jpg", "train/notes.txt", "train/cats"])
def test_a_photo_to_leave_out_that_is_not_there_is_refused(tmp_path, path):
    place(tmp_path, *SORTED, "train/notes.txt")
    with pytest.raises(Refused, match=rf"^{path} is to be left out but is not among the photos in "):
        find_photo_set(tmp_path, leave_out=["train/dogs/1.jpg", path])


def test_a_class_that_is_left_out_as_a_whole_is_refused(tmp_path):
    place_flat(tmp_path, cats=3, dogs=3)
    everything = [f"dogs/{path.name}" for path in (tmp_path / "dogs").iterdir()]
    with pytest.raises(Refused, match=r"All train photos of the class dogs in .* are left out"):
        find_photo_set(tmp_path, leave_out=everything)
    with pytest.raises(Refused, match=r"The class dogs in .* has one photo"):
        find_photo_set(tmp_path, leave_out=everything[1:])


def test_a_photo_may_count_as_another_class(tmp_path):
    place(tmp_path, *SORTED, "train/cats/more.jpg")
    before = find_photo_set(tmp_path)
    after = find_photo_set(tmp_path, relabel=[("train/cats/more.jpg", "dogs")])
    assert after.paths() == before.paths()
    changed = {
        photo.path: photo.label
        for split in after.splits
        for photo in set(after.splits[split]) - set(before.splits[split])
    }
    assert changed == {tmp_path / "train/cats/more.jpg": 1}
    assert find_photo_set(tmp_path, relabel=[("train/cats/more.jpg", "cats")]) == before


def test_validation_photos_are_drawn_by_the_corrected_labels(tmp_path):
    place_flat(tmp_path, cats=11, dogs=10)
    names = sorted(path.name for path in (tmp_path / "cats").iterdir())[:6]
    photo_set = find_photo_set(tmp_path, relabel=[(f"cats/{name}", "dogs") for name in names])
    assert photo_set.counts() == {"train": {"cats": 4, "dogs": 13}, "validation": {"cats": 1, "dogs": 3}}
    parted = keep_together(photo_set, [[tmp_path / "cats" / name for name in names[:2]]], 0)
    assert parted.counts() == photo_set.counts()


@pytest.mark.parametrize(
    ("relabel", "leave_out", "sentence"),
    [
        ({"cats/9.jpg": "dogs"}, [], r"^cats/9.jpg is to get another label but is not among the photos in "),
        ({"cats/C": "dogs"}, ["cats/C"], r"^cats/\S+ is to be left out and to get another label: choose one"),
        ({"cats/C": "lions"}, [], r"^cats/\S+ is to count as lions, but \S+ has the classes cats and dogs only\.$"),
        (
            {"cats/A": "dogs"},
            [],
            r"^All train photos of the class cats in \S+ are to count as another: relabel fewer\.$",
        ),
    ],
)
def test_labels_that_cannot_be_are_refused(relabel, leave_out, sentence, tmp_path):
    place_flat(tmp_path, cats=3, dogs=3)
    cats = sorted(f"cats/{path.name}" for path in (tmp_path / "cats").iterdir())
    named = {"cats/C": cats[:1], "cats/A": cats}
    pairs = [(path, name) for key, name in relabel.items() for path in named.get(key, [key])]
    with pytest.raises(Refused, match=sentence):
        find_photo_set(tmp_path, leave_out=[named[key][0] for key in leave_out], relabel=pairs)


def test_a_photo_has_one_corrected_label(tmp_path):
    place(tmp_path, *SORTED)
    with pytest.raises(Refused, match=r"^train/cats/1.jpg is to count as cats and as dogs: name one class\.$"):
        find_photo_set(tmp_path, relabel=[("train/cats/1.jpg", "cats"), ("train/cats/1.jpg", "dogs")])


def together(folder, *groups: set[str], seed: int = 0) -> tuple[set[str], set[str]]:
    """What is for training and for validation once these groups of a flat folder are kept together."""
    photo_set = find_photo_set(folder, seed)
    parted = keep_together(photo_set, [[folder / name for name in group] for group in groups], seed)
    assert sorted(parted.paths()) == sorted(photo_set.paths())
    train, validation = (
        {photo.path.relative_to(folder).as_posix() for photo in parted.splits[split]} for split in parted.splits
    )
    return train, validation


def test_without_groups_the_draw_stays_as_it_is(tmp_path):
    place_flat(tmp_path, cats=30, dogs=20)
    photo_set = find_photo_set(tmp_path, 3)
    assert photo_set.is_drawn
    assert keep_together(photo_set, [], 3) == photo_set


@pytest.mark.parametrize("seed", range(6))
def test_each_group_is_on_one_side_and_a_fifth_is_for_validation(tmp_path, seed):
    place_flat(tmp_path, cats=50, dogs=50)
    names = sorted(path.name for path in (tmp_path / "cats").iterdir())
    groups = [{f"cats/{name}" for name in names[start : start + 5]} for start in range(0, 50, 5)]
    groups += [{f"dogs/{name}" for name in names[start : start + 2]} for start in range(0, 30, 2)]
    train, validation = together(tmp_path, *groups, seed=seed)
    assert all(group <= train or group <= validation for group in groups)
    assert sum(name.startswith("cats") for name in validation) == 10
    assert sum(name.startswith("dogs") for name in validation) == 10
    assert together(tmp_path, *groups[::-1], seed=seed) == (train, validation)
    assert together(tmp_path, *groups, seed=seed + 100)[1] != validation


def test_a_group_in_two_classes_is_for_training(tmp_path):
    place_flat(tmp_path, cats=10, dogs=10)
    _, drawn = together(tmp_path)
    cat, dog = (next(name for name in sorted(drawn) if name.startswith(kind)) for kind in ("cats", "dogs"))
    train, validation = together(tmp_path, {cat, dog})
    assert {cat, dog} <= train
    assert sorted(name.split("/")[0] for name in validation) == ["cats", "cats", "dogs", "dogs"]


@pytest.mark.parametrize(("sizes", "validation"), [((6, 4), 4), ((9, 1), 1), ((10,), 2), ((3, 3, 3, 1), 1)])
def test_every_class_can_be_validated_however_alike_its_photos_are(tmp_path, sizes, validation):
    place_flat(tmp_path, cats=10, dogs=10)
    names = [f"cats/{path.name}" for path in sorted((tmp_path / "cats").iterdir())]
    groups = [{names.pop() for _ in range(size)} for size in sizes]
    train, found = together(tmp_path, *groups)
    assert sum(name.startswith("cats") for name in found) == validation
    assert any(name.startswith("cats") for name in train)
    assert sum(name.startswith("dogs") for name in found) == 2


def test_a_validation_folder_stays_as_it_is(tmp_path):
    place(tmp_path, *SORTED)
    photo_set = find_photo_set(tmp_path)
    assert not photo_set.is_drawn
    assert keep_together(photo_set, [photo_set.paths()], 0) is photo_set
