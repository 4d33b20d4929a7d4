"""What an evaluation found, in sentences that hold for every report: how good, how sure, and which labels may be wrong.

Each function takes the object of `report.json` as `catdog.results.report_files.read_report` gives it.
"""

from collections.abc import Callable
from typing import Any

from catdog.figures import counted, percent, short_loss
from catdog.results.report_files import count_right

Report = dict[str, Any]

# With fewer photos, how far probabilities are from what came true is mostly chance.
FEW_PHOTOS = 100
# As many possible wrong labels as are listed at most; there may be more.
MOST_LISTED = 100


def describe_accuracy(report: Report) -> list[str]:
    """How often the label was right, how far that is from chance and from guessing, and on which photos."""
    return [how_many_right(report), how_exact(report), against_baseline(report), where_from(report)]


def how_many_right(report: Report) -> str:
    """The accuracy, with the count of photos behind it."""
    photos, split = report["photos"], report["split"]
    right = count_right(report)
    if photos == 1:
        return f"The one {split} photo was {'' if right else 'not '}given its own class."
    if right in (0, photos):
        return f"{'All' if right else 'None'} of the {photos:,} {split} photos were given their own class."
    given = "was given its" if right == 1 else "were given their"
    return f"{right:,} of the {photos:,} {split} photos {given} own class: {percent(report['accuracy'])}."


def how_exact(report: Report) -> str:
    """What the interval of the accuracy means."""
    # An end may miss 0 or 1 by a computer's rounding.
    low, high = (percent(round(share, 9)) for share in report["interval"])
    return (
        f"From {counted(report['photos'], 'photo')} it can be told that on others of the kind it is right for "
        f"{low} to {high} (95 % interval)."
    )


def against_baseline(report: Report) -> str:
    """Whether it is right more often than always saying the most frequent class would be."""
    name, share = report["baseline"]["class"], report["baseline"]["accuracy"]
    if share >= 1:
        return f"All of these photos are {name}, so they can't show whether it tells the classes apart."
    low, high = report["interval"]
    if low > share:
        compared = "it does better than that"
    elif high < share:
        compared = "it does worse than that"
    elif report["accuracy"] > share:
        compared = "that it did better may be chance"
    else:
        compared = "it did no better than that"
    return f"Always saying {name} would be right for {percent(share)} of them: {compared}."


def where_from(report: Report) -> str:
    """Which photos the figures come from, and what that means for them."""
    if report["split"] == "test":
        return "The test photos took no part in training, nor in choosing the best epoch."
    return (
        "There is no test folder, so these are the validation photos. The best epoch was chosen by them too, which "
        "makes the figures a little hopeful wherever there was a choice."
    )


def describe_calibration(report: Report) -> list[str]:
    """What the temperature did to the probabilities, and what came of it on photos that it was not fitted on."""
    calibration = report["calibration"]
    if calibration["temperature"] == 1:
        found = [
            "The temperature is 1, so the probabilities stay as the network gave them: none that was fitted made them "
            "better on photos that it was not fitted on.",
            f"Their calibration error is {percent(calibration['after']['error'])}.",
        ]
    else:
        found = [what_temperature_did(calibration), judged_on(calibration), what_came_of_it(calibration)]
    found.append(
        "The calibration error is how far probabilities lie from what came true: of all labels given with 90 %, nine "
        "in ten should be right."
    )
    if report["photos"] < FEW_PHOTOS:
        found.append(f"From {counted(report['photos'], 'photo')} it is known only roughly.")
    return found


def what_temperature_did(calibration: dict[str, Any]) -> str:
    """Which way the probabilities went, and which photos asked for that."""
    way = "less sure" if calibration["temperature"] > 1 else "surer"
    shown = f"{calibration['temperature']:.2f}"
    return (
        f"A temperature of {shown}, fitted on {counted(calibration['fitted_on'], 'validation photo')}, makes it "
        f"{'hardly ' if shown == '1.00' else ''}{way} of every label; it changes no label."
    )


def judged_on(calibration: dict[str, Any]) -> str:
    """On which photos the temperature was judged."""
    if calibration["judged_on"] == "test":
        return "It was judged on the test photos, on which it was not fitted."
    return (
        "It was judged on photos that it was not fitted on: each fifth of the validation photos, with the temperature "
        "that the other four ask for."
    )


def what_came_of_it(calibration: dict[str, Any]) -> str:
    """How the calibration error and the loss changed, and whether that is any good."""
    before, after = calibration["before"], calibration["after"]
    error, way = changed(before["error"], after["error"], percent)
    loss, _ = changed(before["loss"], after["loss"], short_loss)
    verdict = {"fell": "", "rose": ", which is worse", "stayed": ", as before"}[way]
    return f"There the calibration error {error}{verdict}; the loss {loss}."


def changed(before: float, after: float, write: Callable[[float], str]) -> tuple[str, str]:
    """How a figure changed as far as its digits show, and in one word."""
    if write(before) == write(after):
        return f"stayed at {write(after)}", "stayed"
    way = "fell" if after < before else "rose"
    return f"{way} from {write(before)} to {write(after)}", way


def describe_wrong_labels(report: Report) -> list[str]:
    """How many labels are contradicted by heads that never saw their photos, and what that does not mean."""
    looked = report["wrong_labels"]
    if looked is None:
        return ["Possible wrong labels were not looked for."]
    listed = len(looked["found"])
    how = (
        f"{looked['photos']:,} photos were dealt into {looked['folds']} parts, and each part was looked at by a head "
        "that had learned from the rest alone."
    )
    if not listed:
        return [how, "No label is contradicted."]
    if listed == 1:
        found = "One label is contradicted."
    elif listed < MOST_LISTED:
        found = f"{listed} labels are contradicted; those contradicted most come first."
    else:
        found = f"At least {listed} labels are contradicted; those contradicted most are listed."
    return [
        how,
        found,
        "A listed photo may have the right label all the same: a head contradicts unusual photos, too. Look before you "
        "change anything.",
    ]
