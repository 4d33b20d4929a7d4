"""A folder becomes labelled photos: which layout it has, which photos are for what, and what is wrong with it."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from catdog.errors import CatdogError, Refused
from catdog.files.storage import Place, as_place, reason_of, walk
from catdog.photos.reading import UnreadablePhoto, is_photo_name, open_picture, read_bytes
from catdog.plain_text import one_line

SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
VALIDATION_SHARE = 0.2
# How far below a class's folder photos are looked for: Python itself goes no deeper than some hundred.
MAX_DEPTH = 100
LAYOUT_HINT = "it needs train/<class> and validation/<class> folders, or one folder per class"


class Photo(NamedTuple):
    """One file of a photo set: its path and the index of its class."""

    path: Place
    label: int


def labels_of(photos: Sequence[Photo]) -> np.ndarray:
    """Each photo's class index, int32."""
    return np.array([photo.label for photo in photos], np.int32)


class LeftOut(NamedTuple):
    """A photo that can't be used, and the reason, which reads on behind its name."""

    path: Place
    reason: str

    @property
    def sentence(self) -> str:
        """What to tell a person about it."""
        return one_line(f"{self.path}: {self.reason}.")


@dataclass(frozen=True)
class PhotoSet:
    """Labelled photos by split (train, validation and perhaps test), each in sorted order."""

    folder: Place
    class_names: tuple[str, ...]
    splits: dict[str, list[Photo]]
    # Whether the seed drew which photos are for validation, because the folder has none of its own.
    is_drawn: bool = False

    def paths(self) -> list[Place]:
        """The paths of all photos, split after split."""
        return [photo.path for photos in self.splits.values() for photo in photos]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many photos each split has of each class."""
        return {
            split: {name: sum(photo.label == label for photo in photos) for label, name in enumerate(self.class_names)}
            for split, photos in self.splits.items()
        }


def find_photo_set(
    folder: Place | str, seed: int = 0, leave_out: Collection[str] = (), relabel: Collection[tuple[str, str]] = ()
) -> PhotoSet:
    """The photos to train on and to validate with; raises `Refused` where a folder can't be trained on.

    Without a validation folder, each class gives a fifth of its training photos, chosen by the seed. The photos to
    leave out are paths relative to the folder, and so are those to relabel, each with the class that it is to count as
    instead; one that is not among the folder's photos is refused, since somebody meant it.
    """
    folder = as_place(folder)
    by_split = find_splits(folder)
    if "train" not in by_split:
        found = ", ".join(path.name for path in by_split.values())
        raise Refused(f"{folder} has {found} but no train folder: {LAYOUT_HINT}.")
    train_folder = by_split["train"]
    class_names = tuple(path.name for path in class_folders(train_folder))
    splits = {split: labelled_photos(path, class_names) for split, path in sorted(by_split.items())}
    if relabel:
        splits = relabelled(splits, folder, class_names, relabel, leave_out)
    if leave_out:
        splits = without(splits, folder, class_names, leave_out)
    is_drawn = "validation" not in splits
    if is_drawn:
        splits["train"], splits["validation"] = split_photos(train_folder, splits["train"], class_names, seed)
    order = [split for split in ("train", "validation", "test") if split in splits]
    return PhotoSet(folder, class_names, {split: splits[split] for split in order}, is_drawn)


def without(
    splits: dict[str, list[Photo]], folder: Place, class_names: tuple[str, ...], leave_out: Collection[str]
) -> dict[str, list[Photo]]:
    """The splits less the photos to leave out; raises `Refused` where one isn't there, or none of a class is left."""
    unwanted = {folder / path for path in leave_out}
    require_known(unwanted, splits, folder, "be left out")
    remaining = {split: [photo for photo in photos if photo.path not in unwanted] for split, photos in splits.items()}
    for split, photos in remaining.items():
        for label in sorted({photo.label for photo in splits[split]} - {photo.label for photo in photos}):
            raise Refused(
                f"All {split} photos of the class {class_names[label]} in {folder} are left out: leave out fewer."
            )
    return remaining


def relabelled(
    splits: dict[str, list[Photo]],
    folder: Place,
    class_names: tuple[str, ...],
    relabel: Collection[tuple[str, str]],
    leave_out: Collection[str],
) -> dict[str, list[Photo]]:
    """The splits with other labels for some photos; raises `Refused` for what can't be, or leaves a class empty."""
    wanted: dict[Place, str] = {}
    for path, class_name in relabel:
        if wanted.setdefault(folder / path, class_name) != class_name:
            raise Refused(f"{path} is to count as {wanted[folder / path]} and as {class_name}: name one class.")
        if class_name not in class_names:
            raise Refused(
                f"{path} is to count as {class_name}, but {folder} has the classes {' and '.join(class_names)} only."
            )
    require_known(wanted.keys(), splits, folder, "get another label")
    both = sorted(wanted.keys() & {folder / path for path in leave_out})
    if both:
        raise Refused(f"{both[0].relative_to(folder)} is to be left out and to get another label: choose one of them.")
    changed = {}
    for split, photos in splits.items():
        changed[split] = [
            Photo(path, class_names.index(wanted[path]) if path in wanted else label) for path, label in photos
        ]
        for label in sorted({photo.label for photo in photos} - {photo.label for photo in changed[split]}):
            raise Refused(
                f"All {split} photos of the class {class_names[label]} in {folder} are to count as another: "
                "relabel fewer."
            )
    return changed


def require_known(paths: Collection[Place], splits: dict[str, list[Photo]], folder: Place, purpose: str) -> None:
    """Raise `Refused` unless these are all among the photos; the purpose completes "is to"."""
    strangers = sorted(set(paths).difference(photo.path for photos in splits.values() for photo in photos))
    if strangers:
        name = strangers[0].relative_to(folder)
        raise Refused(
            f"{name} is to {purpose} but is not among the photos in {folder}: name photos as paths in that folder."
        )


def keep_together(photo_set: PhotoSet, groups: Iterable[Collection[Place]], seed: int) -> PhotoSet:
    """The photo set with its drawn validation photos drawn anew, so that each group of photos is on one side of it.

    A set that has a validation folder of its own stays as it is.
    """
    if not photo_set.is_drawn:
        return photo_set
    train_folder = find_splits(photo_set.folder)["train"]
    photos = sorted(photo_set.splits["train"] + photo_set.splits["validation"])
    train, validation = split_photos(train_folder, photos, photo_set.class_names, seed, groups)
    return replace(photo_set, splits={**photo_set.splits, "train": train, "validation": validation})


def find_evaluation_photos(folder: Place | str, class_names: tuple[str, ...]) -> list[Photo]:
    """All photos of a flat folder, else those of test/, else of validation/; `Refused` where classes differ."""
    folder = as_place(folder)
    by_split = find_splits(folder)
    split_folder = by_split.get("test") or by_split.get("validation") or by_split["train"]
    if split_folder != folder and split_folder == by_split.get("train"):
        raise Refused(f"{folder} has photos to train on but none to evaluate with: add a validation or a test folder.")
    return labelled_photos(split_folder, class_names, for_model=True)


def find_splits(folder: Place) -> dict[str, Place]:
    """Which folder holds which split; a flat folder is its own train."""
    require_folder(folder)
    by_split: dict[str, Place] = {}
    without_classes: list[tuple[str, Place]] = []
    others = False
    for path in subfolders(folder):
        split = SPLIT_FOLDERS.get(path.name.lower())
        if split is None:
            others = True
        elif not subfolders(path):
            without_classes.append((split, path))
        elif split in by_split:
            raise Refused(f"{folder} has both {by_split[split].name} and {path.name}: keep one of them.")
        else:
            by_split[split] = path
    for split, path in without_classes:
        # A class may be named train; and competitions come with an unsorted test folder, which is of no use.
        needed = split == "train" or (split == "validation" and has_photos(path))
        if needed if by_split else not others:
            class_folders(path)
    return by_split or {"train": folder}


def require_folder(folder: Place) -> None:
    """Raise `Refused` unless this is a folder."""
    try:
        if not folder.exists():
            raise Refused(f"There is no folder {folder}.")
        if not folder.is_dir():
            raise Refused(f"{folder} is a file, not a folder of photos.")
    except CatdogError:
        raise
    except Exception as error:  # A disk's are `OSError`, but each kind of storage has errors of its own.
        raise unreadable(folder, error) from None


def unreadable(folder: Place | str, error: Exception) -> Refused:
    """The refusal of a folder that can't be looked into."""
    return Refused(f"The folder {folder} can't be read ({reason_of(error)}).")


def class_folders(folder: Place) -> list[Place]:
    """The folders of two or more classes, sorted by name; raises `Refused` where there are fewer."""
    folders = subfolders(folder)
    if not folders:
        if has_photos(folder):
            raise Refused(f"The photos in {folder} are not sorted into classes: {LAYOUT_HINT}.")
        raise Refused(f"There are no photos in {folder}: {LAYOUT_HINT}.")
    if len(folders) == 1:
        inner = folders[0]
        if find_splits(inner) != {"train": inner} or len(subfolders(inner)) > 1:
            raise Refused(f"{folder} holds only the folder {inner.name}: name {inner} instead.")
        raise Refused(f"{folder} has one class alone, {inner.name}: add a folder of photos of another class.")
    for each in folders:
        if one_line(each.name) != each.name:
            raise Refused(f"The folder {each.name} in {folder} has a name that can't be shown as it is: rename it.")
    return folders


def labelled_photos(folder: Place, class_names: tuple[str, ...], for_model: bool = False) -> list[Photo]:
    """Every photo below a split's class folders, sorted; raises `Refused` unless each class has a readable one.

    With `for_model` the class names are a classifier's, of which the folder may lack some.
    """
    known = dict(zip(class_names, range(len(class_names)), strict=True))
    found = {path.name: path for path in class_folders(folder)}
    strangers = sorted(found.keys() - known.keys())
    if strangers:
        owner = "the classifier knows" if for_model else "train has"
        raise Refused(f"{folder} has the class {strangers[0]}, but {owner} {' and '.join(class_names)} only.")
    missing = sorted(known.keys() - found.keys())
    if missing and not for_model:
        raise Refused(f"{folder} has no folder {missing[0]}, which train has: each class needs photos in both.")
    photos = []
    for name, path in sorted(found.items()):
        of_class = [Photo(each, known[name]) for each in photos_below(path)]
        require_readable(path, [photo.path for photo in of_class])
        photos += of_class
    return photos


def require_readable(folder: Place, paths: Iterable[Place]) -> None:
    """Raise `Refused` unless one of a class folder's photos can be read; looks no further than the first."""
    reason = None
    for path in paths:
        try:
            open_picture(read_bytes(path), reduced_to=32)
            return
        except UnreadablePhoto as error:
            reason = reason or f"{path.name}: {error}"
    if reason is None:
        raise Refused(f"The class folder {folder} has no photos: add some, or remove the folder.")
    raise Refused(f"None of the photos in {folder} can be read ({reason}).")


def split_photos(
    folder: Place,
    photos: list[Photo],
    class_names: tuple[str, ...],
    seed: int,
    groups: Iterable[Collection[Place]] = (),
) -> tuple[list[Photo], list[Photo]]:
    """Part the photos into training and validation, a fifth of each class; `Refused` for a class of one photo.

    A photo's place follows from the seed and its name alone, so that adding photos moves few others. A group's photos
    have the place of the first of them. Only a class that is one group as a whole is parted all the same.
    """
    group_of = {path: frozenset(group) for group in groups for path in group}
    labels_in: dict[frozenset[Place], set[int]] = {}
    for photo in photos:
        if photo.path in group_of:
            labels_in.setdefault(group_of[photo.path], set()).add(photo.label)
    train, validation = [], []
    for label, name in enumerate(class_names):
        of_class = [photo for photo in photos if photo.label == label]
        if len(of_class) < 2:
            raise Refused(f"The class {name} in {folder} has one photo: it needs two, one of them to validate with.")
        units: dict[object, list[Photo]] = {}
        for photo in of_class:
            units.setdefault(group_of.get(photo.path, photo.path), []).append(photo)
        # What looks the same in two classes is for training, where it can be on one side in both.
        free = [unit for key, unit in units.items() if len(labels_in.get(key, ())) < 2]
        wanted = max(1, round(VALIDATION_SHARE * len(of_class)))
        drawn = draw_units(folder, free, seed, wanted)
        if not 0 < len(drawn) < len(of_class):
            drawn = draw_units(folder, [[photo] for photo in of_class], seed, wanted)
        validation += drawn
        train += sorted(set(of_class) - set(drawn))
    return sorted(train), sorted(validation)


def draw_units(folder: Place, units: list[list[Photo]], seed: int, wanted: int) -> list[Photo]:
    """As many photos as are wanted, or a few less, in whole units: first come, first served in the seed's order.

    Where every unit is larger than that, the smallest.
    """
    in_order = sorted(units, key=lambda unit: drawing_order(seed, unit[0].path.relative_to(folder)))
    drawn: list[Photo] = []
    for unit in in_order:
        if len(drawn) + len(unit) <= wanted:
            drawn += unit
    return drawn or min(in_order, key=len, default=[])


def drawing_order(seed: int, relative_path: Path) -> str:
    """A name's place in the seed's order."""
    return hashlib.sha256(f"{seed}/{relative_path.as_posix()}".encode(errors="surrogateescape")).hexdigest()


def subfolders(folder: Place) -> list[Place]:
    """The folders in a folder that are not hidden, sorted by name."""
    try:
        return [path for path in listed(folder) if path.is_dir()]
    except CatdogError:
        raise
    except Exception as error:
        raise unreadable(folder, error) from None


def has_photos(folder: Place) -> bool:
    """Whether photos lie in the folder itself."""
    return any(is_photo_name(path.name) for path in listed(folder))


def listed(folder: Place) -> list[Place]:
    """What is in a folder, sorted by name, less hidden entries and what macOS adds to archives."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".") and path.name != "__MACOSX"]
    except Exception as error:
        raise unreadable(folder, error) from None
    return sorted(found, key=lambda path: path.name)  # paths themselves sort otherwise on Windows


def photos_below(folder: Place) -> list[Place]:
    """The photos in a folder and the folders below it, sorted; links to folders are not followed.

    Raises `Refused` where one of the folders can't be read.
    """
    found = []
    deepest = len(folder.parts) + MAX_DEPTH
    try:
        for parent, folders, names in walk(folder):
            if len(parent.parts) > deepest:
                raise Refused(f"The folders in {folder} are more than {MAX_DEPTH} deep: move the photos further up.")
            folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
            found += [parent / name for name in names if is_photo_name(name)]
    except CatdogError:
        raise
    except Exception as error:
        raise unreadable(getattr(error, "filename", None) or folder, error) from None
    return sorted(found)
