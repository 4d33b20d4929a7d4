"""Every setting of a training run: its default, its bounds and its help, for the form and the command line alike."""

import os
import reprlib
from collections.abc import Iterable
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any

from catdog.errors import Refused

STAGES = ("conv1", "conv2", "conv3", "conv4", "conv5")
BUNDLED = "starter"  # the name of the backbone, and of the classifier, that come along
BACKBONES = ("auto", "imagenet", "starter")
FREEZE_DEPTHS = ("none", *STAGES)
OF_THE_PHOTOS = ("data", "leave_out", "relabel")  # settings that say nothing about another folder of photos

# How much of a wrong value a sentence repeats.
SHORTLY = reprlib.Repr()
SHORTLY.maxstring = SHORTLY.maxlong = SHORTLY.maxother = 120


def setting(default: Any, label: str, help_text: str, **bounds: Any) -> Any:
    """A dataclass field with what a form or a command line must know: `low`, `high`, `choices`, `log`, `pairs`."""
    return field(default=default, metadata={"label": label, "help": help_text, **bounds})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All that decides the outcome of a training run; raises `Refused` for a value out of its bounds."""

    # A folder of train/<class>/ and validation/<class>/, or of <class>/ alone.
    data: str = setting("data", "Photos", "Folder with train and validation, or with one folder per class.")
    # Paths relative to that folder, with forward slashes; a tuple of texts, sorted, each once.
    leave_out: tuple = setting((), "Photos left out", "Photos not to use, as paths in the folder of photos.")
    # Such paths, each with the name of the class that it is to count as; a tuple of pairs of texts, sorted, each once.
    relabel: tuple = setting(
        (),
        "Corrected labels",
        "Photos that are to count as another class: paths in the folder of photos, each with the class.",
        pairs=True,
    )
    # One of BACKBONES or the path of a backbone file.
    backbone: str = setting(
        "auto",
        "Backbone",
        "The pre-trained network to start from. imagenet knows a thousand kinds of things (94 MB, fetched once); "
        "starter comes along, is four times faster, and knows pets best; auto takes imagenet where it can be had, "
        "else starter. Or the path of a backbone file.",
    )
    # Photos are resized to image_size x image_size pixels.
    image_size: int = setting(
        224,
        "Image size",
        "Photos are resized to this many pixels on each side. Smaller is faster, but shows the network less; "
        "it has learned to look at 224.",
        low=32,
        high=512,
    )
    batch_size: int = setting(
        32,
        "Batch size",
        "How many photos each learning step looks at. More make fewer and steadier steps, and need more memory.",
        low=1,
        high=512,
    )
    head_epochs: int = setting(
        10,
        "Head epochs",
        "How often the new head goes through all training photos, with the network frozen. It is quick, and since "
        "the best epoch is kept, too many do little harm.",
        low=1,
        high=1000,
    )
    head_learning_rate: float = setting(
        0.001,
        "Head learning rate",
        "How far each step shifts the head. Too high, and the loss jumps about; too low, and it hardly falls.",
        low=1e-6,
        high=1.0,
        log=True,
    )
    fine_tune_epochs: int = setting(
        0,
        "Fine-tuning epochs",
        "How often the stages behind the freeze depth then go through all training photos, together with the head. "
        "Each time takes far longer than one of the head's; 0 leaves fine-tuning out.",
        low=0,
        high=1000,
    )
    fine_tune_learning_rate: float = setting(
        0.00001,
        "Fine-tuning learning rate",
        "How far each step of fine-tuning shifts the network. Keep it very low, or what the network knows is lost.",
        low=1e-8,
        high=1.0,
        log=True,
    )
    # The last frozen stage of fine-tuning; "conv5" lets the head alone learn, "none" freezes nothing.
    freeze_depth: str = setting(
        "conv4",
        "Freeze depth",
        "The last stage that stays as it is while fine-tuning; those behind it learn. To freeze less takes more time, "
        "more memory and more photos.",
        choices=FREEZE_DEPTHS,
    )
    augment: str = setting(
        "none",
        "Augmentation",
        "mirror shows each training photo now as it is, now as its mirror image, by chance: more variety, but twice "
        "as many pictures to run through the frozen network.",
        choices=("none", "mirror"),
    )
    # Concerns training photos alone: whatever is reported is computed in float32.
    bfloat16: str = setting(
        "auto",
        "Half-precision arithmetic",
        "auto runs training photos through the frozen network with fewer digits (bfloat16) where the processor is "
        "faster at it; off never does. What is reported is computed with all digits in any case.",
        choices=("auto", "off"),
    )
    # Decides the split of a flat folder, the head's first weights, the order of the photos, and dropout.
    seed: int = setting(
        0,
        "Seed",
        "The number that all chance follows from. Same seed, same photos, same machine: same result.",
        low=0,
        high=2**32 - 1,
    )

    def __post_init__(self):
        for each in fields(self):
            object.__setattr__(self, each.name, checked(each, getattr(self, each.name)))

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, as `config.json` keeps them."""
        return asdict(self) | {"leave_out": list(self.leave_out), "relabel": [list(pair) for pair in self.relabel]}


SETTINGS: dict[str, Field] = {each.name: each for each in fields(TrainConfig)}


def rate_steps(each: Field) -> list[float]:
    """A learning rate's values in a form: 1, 2 and 5 times the powers of ten within its bounds."""
    rates = [float(f"{digit}e{power}") for power in range(-8, 1) for digit in (1, 2, 5)]
    return [rate for rate in rates if each.metadata["low"] <= rate <= each.metadata["high"]]


def shown(value: Any) -> str:
    """What was received as Python writes it; the middle of what is long is left out."""
    try:
        return SHORTLY.repr(value)
    except (ValueError, RecursionError):  # a number of more than 4,300 digits, or lists in lists without an end
        return f"such a long {type(value).__name__}"


def checked(each: Field, value: Any) -> Any:
    """The value in the field's own type, from a value or a text; raises `Refused` with the allowed range."""
    limits = each.metadata
    if each.type is tuple:
        return (checked_labels if limits.get("pairs") else checked_paths)(limits["label"], value)
    if each.type is str:
        if not isinstance(value, str | os.PathLike):
            raise Refused(f"{limits['label']} must be a text, not {shown(value)}.")
        text = str(value)
        if "choices" in limits and text not in limits["choices"]:
            raise Refused(f"{limits['label']} must be one of {', '.join(limits['choices'])}, not {shown(text)}.")
        if not text.strip():
            raise Refused(f"{limits['label']} must not be empty.")
        return text
    kind = "a whole number" if each.type is int else "a number"
    wrong = f"{limits['label']} must be {kind} from {limits['low']:g} to {limits['high']:.10g}, not {shown(value)}."
    try:
        number = each.type(value)
    except (TypeError, ValueError, OverflowError):
        raise Refused(wrong) from None
    exact = isinstance(value, str) or number == value
    if isinstance(value, bool) or not exact or not limits["low"] <= number <= limits["high"]:
        raise Refused(wrong)
    return number


def checked_paths(label: str, value: Any) -> tuple[str, ...]:
    """Relative paths from any of their forms, sorted, each once; raises `Refused` for what is none."""
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        raise Refused(f"{label} must be a list of paths, not {shown(value)}.")
    found = set()
    for each in value:
        path = path_inside(each)
        if path is None:
            raise Refused(f"{label} must be paths in the folder of photos, not {shown(each)}.")
        found.add(path)
    return tuple(sorted(found))


def checked_labels(label: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Relative paths, each with a class name, sorted, each pair once; raises `Refused` for what is none."""
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        raise Refused(f"{label} must be a list of paths and classes, not {shown(value)}.")
    found = set()
    for each in value:
        pair = each if isinstance(each, list | tuple) and len(each) == 2 else (None, None)
        path, class_name = path_inside(pair[0]), pair[1]
        if path is None or not isinstance(class_name, str) or not class_name.strip():
            raise Refused(f"{label} must be paths in the folder of photos, each with a class, not {shown(each)}.")
        found.add((path, class_name))
    return tuple(sorted(found))


def path_inside(value: Any) -> str | None:
    """A relative path in its shortest form; None for what is none, or leads out of the folder."""
    path = PurePosixPath(value) if isinstance(value, str) else None
    if path is None or not path.parts or path.is_absolute() or ".." in path.parts or "\0" in value:
        return None
    return str(path)


def backbone_title(source: str) -> str:
    """What a backbone is called in files that are handed on: one of BACKBONES, or a file's name without its place."""
    return source if source in BACKBONES else source.replace("\\", "/").rpartition("/")[2]


def check_backbone_name(source: str) -> None:
    """Raise `Refused` unless this is one of BACKBONES or the path of a file."""
    try:
        found = source in BACKBONES or Path(source).is_file()
    except OSError:  # such as a name that is too long
        found = False
    if not found:
        raise Refused(f"There is no backbone {source}: choose {', '.join(BACKBONES)}, or the path of a .keras file.")
