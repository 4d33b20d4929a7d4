"""What is wrong with the photos of a set, what that does to a result, and what could be left out."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catdog.photos.fingerprints import Fingerprints, fingerprint_photos
from catdog.photos.look_alikes import BLANK_CONTRAST, find_look_alikes
from catdog.photos.photo_sets import PhotoSet, keep_together

# A class of fewer training photos than this can't be learned well, however often they are looked at.
FEWEST_TO_LEARN = 20
# With fewer validation photos of a class, one photo more or less that is right moves its accuracy by over 20 %.
FEWEST_TO_VALIDATE = 5
# How many times the training photos of the smallest class another one may have.
MOST_TIMES_AS_MANY = 3
# A photo whose shorter side is below this has been blown up beyond recognition before the network sees it.
TINY_SIDE = 64
# Which of a picture's copies stays: what it is tested with; of several of them, the largest.
KEPT_FIRST = ("test", "validation", "train")
# Every kind of problem, the worst first, with what it does to a result.
KINDS = {
    "across-splits": "What was learned from is no test: the result looks better than it is.",
    "across-classes": "One of its labels is wrong, and what is wrong is learned all the same.",
    "unreadable": "These files can't be read and are left out by themselves.",
    "duplicate": "The same file several times counts for more than one that is there once.",
    "near-duplicate": "Nearly the same picture several times teaches little that is new.",
    "blank": "There is hardly any contrast in these photos, so nothing can be seen in them.",
    "tiny": f"A side of these photos has fewer than {TINY_SIDE} pixels: what is on them is hard to make out.",
    "too-few": "From very few photos little is learned, and a result on very few says little.",
    "imbalance": "A classifier leans towards the class that it saw most of.",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, the photos it concerns, and those of them that could be left out to mend it."""

    kind: str
    paths: tuple[Path, ...]
    message: str
    leave_out: tuple[Path, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The problem as plain values, as `check --json` prints it."""
        return {"kind": self.kind, "paths": [str(path) for path in self.paths], "message": self.message}


def check_photos(
    photo_set: PhotoSet, seed: int, on_progress: Callable[[int, float], None] | None = None
) -> tuple[PhotoSet, list[Problem]]:
    """The photo set as training will part it, and what is wrong with it; reads every photo that it doesn't know."""
    fingerprints = fingerprint_photos(photo_set.paths(), on_progress)
    return judge_photos(photo_set, seed, fingerprints)


def judge_photos(photo_set: PhotoSet, seed: int, fingerprints: Fingerprints) -> tuple[PhotoSet, list[Problem]]:
    """The same for photos that were read already: fingerprints of these, and perhaps of others."""
    fingerprints = fingerprints.only(photo_set.paths())
    groups = find_look_alikes(fingerprints)
    photo_set = keep_together(photo_set, groups, seed)
    found = [
        *copies(photo_set, fingerprints, groups),
        *(Problem("unreadable", (left_out.path,), left_out.sentence) for left_out in sorted(fingerprints.unreadable)),
        *poor_photos(photo_set, fingerprints),
        *poor_numbers(photo_set),
    ]
    order = list(KINDS)
    return photo_set, sorted(found, key=lambda problem: order.index(problem.kind))


def copies(photo_set: PhotoSet, fingerprints: Fingerprints, groups: Iterable[Sequence[Path]]) -> Iterator[Problem]:
    """What is wrong with each group of photos that show the same picture."""
    split_of = {photo.path: split for split, photos in photo_set.splits.items() for photo in photos}
    label_of = {photo.path: photo.label for photos in photo_set.splits.values() for photo in photos}
    for group in groups:
        pixels = {path: fingerprints.pixels(path) for path in group}
        in_order = sorted(group, key=lambda path: (KEPT_FIRST.index(split_of[path]), -pixels[path], path))
        splits = [split for split in photo_set.splits if split in {split_of[path] for path in group}]
        classes = [photo_set.class_names[label] for label in sorted({label_of[path] for path in group})]
        same_file = len({fingerprints.digests[path] for path in group}) == 1
        are = f"{listed(group, photo_set.folder)} are {'the same' if same_file else 'nearly the same'} picture"
        if len(splits) > 1:
            message = f"{are}, in {joined(splits)}."
            yield Problem("across-splits", tuple(group), message, tuple(in_order[1:]))
        if len(classes) > 1:
            message = f"{are}, under the classes {joined(classes)}."
            yield Problem("across-classes", tuple(group), message, tuple(group))
        if len(splits) == len(classes) == 1:
            kind = "duplicate" if same_file else "near-duplicate"
            yield Problem(kind, tuple(group), f"{are}, in {splits[0]}.", tuple(in_order[1:]))


def poor_photos(photo_set: PhotoSet, fingerprints: Fingerprints) -> Iterator[Problem]:
    """The photos on which little can be seen."""
    for path in photo_set.paths():
        row = fingerprints.rows.get(fingerprints.digests.get(path, ""))
        if row is None:
            continue
        name = path.relative_to(photo_set.folder)
        if row["contrast"] < BLANK_CONTRAST:
            yield Problem("blank", (path,), f"{name} has hardly any contrast: nothing can be seen in it.", (path,))
        if min(row["width"], row["height"]) < TINY_SIDE:
            size = f"{row['width']} x {row['height']}"
            message = f"{name} has {size} pixels: the shorter side should have {TINY_SIDE} or more."
            yield Problem("tiny", (path,), message, (path,))


def poor_numbers(photo_set: PhotoSet) -> Iterator[Problem]:
    """What is wrong with how many photos there are of each class."""
    counts = photo_set.counts()
    for split, fewest, aim in (
        ("train", FEWEST_TO_LEARN, "learn a class from"),
        ("validation", FEWEST_TO_VALIDATE, "judge a class by"),
    ):
        for name, count in counts[split].items():
            if count < fewest:
                photos = "photo" if count == 1 else "photos"
                message = f"{name} has {count} {split} {photos}: {fewest} or more are needed to {aim}."
                yield Problem("too-few", (), message)
    of_class = Counter(counts["train"])
    (most, many), (least, few) = of_class.most_common()[0], of_class.most_common()[-1]
    if many > MOST_TIMES_AS_MANY * few:
        message = (
            f"{most} has {many:,} training photos and {least} {few:,}: over {MOST_TIMES_AS_MANY} times as many. "
            f"Add photos of {least}, or leave out some of {most}."
        )
        yield Problem("imbalance", (), message)


def listed(paths: Sequence[Path], folder: Path) -> str:
    """The names of a few photos, and how many more there are."""
    names = [str(path.relative_to(folder)) for path in paths]
    return joined(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3:,} more"


def joined(words: Sequence[str]) -> str:
    """Words as a sentence lists them: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
