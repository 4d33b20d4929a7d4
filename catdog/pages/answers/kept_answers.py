"""What a visitor's photos were found to be: asked for a part at a time, and kept as long as the photos are there."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import streamlit as st

from catdog.classifier.verdicts import verdict_of
from catdog.memory import give_memory_back
from catdog.pages.answers.classifiers import Source, load
from catdog.photos.reading import small_jpeg

# The page is shown anew after a part of the photos: soon at first and seldom then, for that costs the visitor's browser
# more than the answers cost the server.
FIRST_PART, LATER_PARTS = 32, 512
TELL_SECONDS = 2.0  # between two steps of the bar, for the same reason
MANY = 100  # photos, after which memory is worth giving back
PICTURE_SIDE = 320  # pixels of a card's picture


@dataclass(frozen=True)
class Answer:
    """What is known of one photo; `reason` says why there is nothing else where it can't be read."""

    photo_id: str
    name: str
    reason: str | None
    label: str | None
    probabilities: Mapping[str, float] | None
    similarity: float | None
    limit: float | None
    nearest: tuple[Any, ...]
    runner_up: str | None
    places: Any
    # Of the folder that the photo lies in, where that is one of the classes.
    class_name: str | None

    def verdict(self, unsure_below: float) -> str | None:
        """The label, `unsure` or `neither`; None where there is no label."""
        if self.label is None:
            return None
        return verdict_of(self.label, self.probability, self.similarity, self.limit, unsure_below)

    @property
    def probability(self) -> float:
        """That of the label; 0 where there is none."""
        return self.probabilities[self.label] if self.label else 0.0

    @property
    def is_wrong(self) -> bool:
        """Whether the folder's name says another class."""
        return None not in (self.class_name, self.label) and self.class_name != self.label


def kept_answers() -> dict[tuple[Source, str], Answer]:
    """The visitor's answers, by classifier and photo."""
    return st.session_state.setdefault("answers", {})


def forget_removed(uploads: Mapping[str, Any]) -> None:
    """Forget the answers and pictures of photos that the visitor removed."""
    kept, pictures = kept_answers(), st.session_state.setdefault("pictures", {})
    removed = [key for key in kept if key[1] not in uploads]
    for key in removed:
        del kept[key]
    if len(removed) >= MANY:
        give_memory_back()
    for key in [key for key in pictures if key not in uploads]:
        del pictures[key]


def missing_answers(source: Source, uploads: Mapping[str, Any]) -> list[str]:
    """The photos that this classifier was not asked about yet, in order."""
    kept = kept_answers()
    return [photo_id for photo_id in uploads if (source, photo_id) not in kept]


def classify_part(source: Source, uploads: Mapping[str, Any], tell: Callable[[int], object]) -> None:
    """Ask about some of the missing photos, and tell now and then how many photos have their answer."""
    classifier = load(source)
    missing = missing_answers(source, uploads)
    done = len(uploads) - len(missing)
    told = time.monotonic()
    part = missing[: LATER_PARTS if done else FIRST_PART]
    for number, (photo_id, found) in enumerate(zip(part, classifier.classify(contents(uploads, part)), strict=True), 1):
        kept_answers()[source, photo_id] = answer_of(photo_id, uploads[photo_id].name, found, classifier)
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            tell(done + number)


def contents(uploads: Mapping[str, Any], photo_ids: list[str]) -> Iterator[bytes]:
    """The files of these photos."""
    return (uploads[photo_id].getvalue() for photo_id in photo_ids)


def answer_of(photo_id: str, name: str, found: Any, classifier: Any) -> Answer:
    """What to keep of a prediction: all but the photo itself."""
    folder = PurePosixPath(name.replace("\\", "/")).parent.name
    return Answer(
        photo_id,
        name,
        found.reason,
        found.label,
        found.probabilities,
        found.similarity,
        classifier.reference.limit if classifier.reference else None,
        found.nearest,
        found.runner_up,
        found.places,
        folder if folder in classifier.class_names else None,
    )


def picture_of(answer: Answer, uploads: Mapping[str, Any]) -> bytes | None:
    """A small JPEG of a photo, made when it is first looked at; None where it can't be."""
    pictures = st.session_state.setdefault("pictures", {})
    if answer.photo_id not in pictures:
        pictures[answer.photo_id] = small_jpeg(uploads[answer.photo_id].getvalue(), PICTURE_SIDE)
    return pictures[answer.photo_id]
