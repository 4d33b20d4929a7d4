"""Whether the app is open to the public, and what a visitor may then have and ask for: every limit and its sentence."""

import os
from dataclasses import dataclass, field, fields
from typing import Any

from catdog.errors import Refused
from catdog.settings import BACKBONES, FREEZE_DEPTHS, SETTINGS, TrainConfig, shown

VARIABLE = "CATDOG_PUBLIC"
# The settings that have a limit of their own name; the freeze depth has one, too, as a name instead of a number.
LIMITED = ("head_epochs", "fine_tune_epochs", "image_size", "batch_size")
NO_FOLDERS = "This app is open to the public and reads no folder of its server: upload photos, or choose another set."


def limit(default: Any, what: str) -> Any:
    """A field with what it limits, in a few words for the documentation."""
    return field(default=default, metadata={"what": what})


@dataclass(frozen=True)
class Limits:
    """What one visitor may have; the defaults are for a host of two cores and 2.7 GB."""

    photos: int = limit(3000, "photos in a visitor's training set")
    upload_megabytes: int = limit(300, "megabytes of such a set's upload, and of what it unpacks to")
    uploads: int = limit(3, "uploaded sets of one visitor that are kept")
    photos_at_once: int = limit(200, "photos that are classified at once")
    megabytes_at_once: int = limit(100, "megabytes of those photos")
    head_epochs: int = limit(30, "epochs of the head")
    fine_tune_epochs: int = limit(5, "epochs of fine-tuning")
    image_size: int = limit(224, "pixels on each side of a photo that is trained on")
    batch_size: int = limit(32, "photos of a learning step")
    freeze_depth: str = limit("conv4", "up to which stage all stay frozen while fine-tuning, at least")
    seconds: int = limit(900, "seconds that a run, a trial or an export may take; then it keeps its best epoch")
    runs: int = limit(5, "runs of one visitor that are kept")
    at_work: int = limit(2, "runs, trials and exports of one visitor that work or wait")
    line: int = limit(10, "runs, trials and exports of all visitors together that work or wait")
    kept_megabytes: int = limit(1000, "megabytes that the frozen network made of one visitor's photos")
    hours: int = limit(24, "hours after a visitor's last visit until all they left here is removed")


def is_public() -> bool:
    """Whether strangers may come: then nobody sees another's photos or runs, nor any folder of the server."""
    return os.environ.get(VARIABLE) == "1"


def variable(name: str) -> str:
    """The environment variable that sets a limit."""
    return f"{VARIABLE}_{name.upper()}"


def limits() -> Limits:
    """The limits as the environment sets them; what is no such value there leaves the default."""
    found = {}
    for each in fields(Limits):
        text = os.environ.get(variable(each.name), "")
        if each.type is str and text in FREEZE_DEPTHS:
            found[each.name] = text
        elif each.type is int and text.isdecimal() and int(text) > 0:
            found[each.name] = int(text)
    return Limits(**found)


def most(name: str) -> Any:
    """The highest value that a setting may have here."""
    high = SETTINGS[name].metadata["high"]
    return min(high, getattr(limits(), name)) if is_public() and name in LIMITED else high


def freeze_depths() -> tuple[str, ...]:
    """The freeze depths that may be chosen here."""
    return FREEZE_DEPTHS[FREEZE_DEPTHS.index(limits().freeze_depth) :] if is_public() else FREEZE_DEPTHS


def within(settings: dict[str, Any]) -> dict[str, Any]:
    """These settings, with each that is beyond its limit here brought to it."""
    brought = {name: min(settings[name], most(name)) for name in LIMITED if name in settings}
    if settings.get("freeze_depth") not in (None, *freeze_depths()):
        brought["freeze_depth"] = freeze_depths()[0]
    return settings | brought


def require_within(config: TrainConfig) -> None:
    """Raise `Refused` for the first setting that is beyond what a visitor may ask for."""
    for name in LIMITED:
        value, highest = getattr(config, name), most(name)
        if value > highest:
            label = SETTINGS[name].metadata["label"]
            raise Refused(f"{label} may be at most {highest:,} where the app is open to the public, not {value:,}.")
    if config.fine_tune_epochs and config.freeze_depth not in freeze_depths():
        raise Refused(
            f"Freeze depth may be {' or '.join(freeze_depths())} where the app is open to the public, "
            f"not {config.freeze_depth}."
        )
    if config.backbone not in BACKBONES:
        raise Refused(
            f"The backbone may be {', '.join(BACKBONES)} where the app is open to the public, "
            f"not {shown(config.backbone)}."
        )


def require_few_photos(count: int) -> None:
    """Raise `Refused` for a set of more photos than a visitor may train on."""
    if count > limits().photos:
        raise Refused(
            f"These are {count:,} photos, and a set may have {limits().photos:,} where the app is open to the public: "
            "choose fewer."
        )
