"""The sentences about an evaluation, on reports at the edges of what there can be."""

import numpy as np
import pytest
from helpers.reports import make_probabilities, make_report, report_of

from catdog.results import measures
from catdog.results.findings import describe_accuracy, describe_calibration, describe_wrong_labels

CATS_DOGS = ("cats", "dogs")


def sure_report(labels: list[int], given: list[int], names: tuple[str, ...] = CATS_DOGS, **other) -> dict:
    """The report of photos with these labels that were given these, each with 90 %."""
    probabilities = np.full((len(labels), len(names)), 0.1 / (len(names) - 1), np.float32)
    probabilities[np.arange(len(labels)), given] = 0.9
    return report_of(probabilities, np.array(labels), names, **other)


def calibrated(temperature: float, before: tuple[float, float], after: tuple[float, float], **other) -> dict:
    """A report with this temperature, and calibration errors and losses before and after it."""
    states = {
        state: {"error": error, "loss": loss, "bins": []}
        for state, (error, loss) in (("before", before), ("after", after))
    }
    calibration = {"temperature": temperature, "fitted_on": 1000, "judged_on": "cross-fitted"} | states
    return make_report(calibration=calibration | other)


def suspecting(count: int) -> dict:
    """A report with that many labels contradicted."""
    probabilities, labels = make_probabilities(40, CATS_DOGS)
    return report_of(probabilities, labels, CATS_DOGS, suspected=count)


def test_the_accuracy_has_its_count_its_interval_and_what_guessing_would_give():
    right = [0] * 49 + [1] * 46
    report = sure_report([0] * 50 + [1] * 50, right[:49] + [1] + right[49:] + [0] * 4)
    assert describe_accuracy(report)[:3] == [
        "95 of the 100 validation photos were given their own class: 95.0 %.",
        "From 100 photos it can be told that on others of the kind it is right for 88.8 % to 97.8 % (95 % interval).",
        "Always saying cats would be right for 50.0 % of them: it does better than that.",
    ]


@pytest.mark.parametrize(
    ("given", "sentence", "interval"),
    [
        (0, "The one validation photo was given its own class.", "for 20.7 % to 100 % (95 % interval)"),
        (1, "The one validation photo was not given its own class.", "for 0 % to 79.3 % (95 % interval)"),
    ],
)
def test_one_photo(given, sentence, interval):
    found = describe_accuracy(sure_report([0], [given]))
    assert found[0] == sentence
    assert found[1].startswith("From 1 photo it can be told")
    assert interval in found[1]
    assert found[2] == "All of these photos are cats, so they can't show whether it tells the classes apart."
    assert describe_calibration(sure_report([0], [given]))[-1] == "From 1 photo it is known only roughly."


def test_all_right_and_none_right():
    labels = [0, 1] * 10
    everything, nothing = sure_report(labels, labels), sure_report(labels, [1 - label for label in labels])
    assert describe_accuracy(everything)[0] == "All of the 20 validation photos were given their own class."
    assert "to 100 %" in describe_accuracy(everything)[1]
    assert describe_accuracy(everything)[2].endswith("it does better than that.")
    assert describe_accuracy(nothing)[0] == "None of the 20 validation photos were given their own class."
    assert "for 0 % to" in describe_accuracy(nothing)[1]
    assert describe_accuracy(nothing)[2].endswith("it does worse than that.")


def test_one_right_of_many():
    sentence = "1 of the 4 validation photos was given its own class: 25.0 %."
    assert describe_accuracy(sure_report([0, 0, 1, 1], [0, 1, 0, 0]))[0] == sentence


@pytest.mark.parametrize(
    ("right", "compared"),
    [(5, "it did no better than that"), (6, "that it did better may be chance"), (4, "it did no better than that")],
)
def test_near_to_guessing_nothing_is_claimed(right, compared):
    labels = [0] * 5 + [1] * 5
    given = [label if place < right else 1 - label for place, label in enumerate(labels)]
    assert describe_accuracy(sure_report(labels, given))[2] == (
        f"Always saying cats would be right for 50.0 % of them: {compared}."
    )


def test_three_classes_are_compared_with_the_most_frequent():
    names = ("birds", "cats", "dogs")
    labels = [0] * 10 + [1] * 20 + [2] * 10
    report = sure_report(labels, labels, names)
    found = describe_accuracy(report)
    assert found[0] == "All of the 40 validation photos were given their own class."
    assert found[2] == "Always saying cats would be right for 50.0 % of them: it does better than that."


def test_the_photos_that_were_judged_on_are_named():
    assert "took no part in training" in describe_accuracy(make_report(split="test"))[-1]
    assert "no test folder" in describe_accuracy(make_report())[-1]
    judged = calibrated(1.3, (0.05, 0.2), (0.02, 0.1), judged_on="test")
    assert "It was judged on the test photos, on which it was not fitted." in describe_calibration(judged)
    assert any("each fifth of the validation photos" in each for each in describe_calibration(make_report()))


def test_a_temperature_of_1_changed_nothing():
    found = describe_calibration(calibrated(1.0, (0.0312, 0.2), (0.0312, 0.2)))
    assert found[0].startswith("The temperature is 1, so the probabilities stay as the network gave them")
    assert found[1] == "Their calibration error is 3.1 %."
    assert not any("fell" in sentence or "rose" in sentence for sentence in found)


@pytest.mark.parametrize(
    ("temperature", "effect"),
    [
        (1.21, "A temperature of 1.21, fitted on 1,000 validation photos, makes it less sure of"),
        (0.8, "A temperature of 0.80, fitted on 1,000 validation photos, makes it surer of"),
        (1.002, "A temperature of 1.00, fitted on 1,000 validation photos, makes it hardly less sure of"),
    ],
)
def test_which_way_a_temperature_goes(temperature, effect):
    found = describe_calibration(calibrated(temperature, (0.05, 0.2), (0.02, 0.1)))
    assert found[0].startswith(effect)
    assert found[2] == "There the calibration error fell from 5.0 % to 2.0 %; the loss fell from 0.200 to 0.100."


def test_an_error_that_rose_is_said_to_be_worse():
    found = describe_calibration(calibrated(1.21, (0.02, 0.2), (0.05, 0.19)))
    assert found[2] == (
        "There the calibration error rose from 2.0 % to 5.0 %, which is worse; the loss fell from 0.200 to 0.190."
    )


def test_an_error_whose_digits_stayed_is_no_change():
    found = describe_calibration(calibrated(1.21, (0.0201, 0.2), (0.0199, 0.25)))
    assert found[2] == "There the calibration error stayed at 2.0 %, as before; the loss rose from 0.200 to 0.250."


def test_the_figures_in_the_sentences_are_those_of_real_probabilities():
    probabilities, labels = make_probabilities(300, CATS_DOGS)
    report = report_of(probabilities, labels, CATS_DOGS)
    before = 100 * measures.calibration(probabilities, labels)["error"]
    assert report["calibration"]["temperature"] > 1
    assert f"the calibration error fell from {before:.1f} % to" in describe_calibration(report)[2]
    assert not any("only roughly" in sentence for sentence in describe_calibration(report))


def test_possible_wrong_labels():
    assert describe_wrong_labels(make_report(wrong_labels=None)) == ["Possible wrong labels were not looked for."]
    how, none = describe_wrong_labels(suspecting(0))
    assert how.startswith("240 photos were dealt into 5 parts")
    assert none == "No label is contradicted."
    assert describe_wrong_labels(suspecting(1))[1] == "One label is contradicted."
    assert describe_wrong_labels(suspecting(99))[1].startswith("99 labels are contradicted;")
    assert describe_wrong_labels(suspecting(100))[1].startswith("At least 100 labels are contradicted;")
    assert describe_wrong_labels(suspecting(2))[-1].endswith("Look before you change anything.")


@pytest.mark.parametrize("describe", [describe_accuracy, describe_calibration, describe_wrong_labels])
def test_each_is_a_sentence(describe):
    for report in (make_report(), sure_report([0], [1]), suspecting(100), make_report(split="test")):
        for sentence in describe(report):
            assert sentence[0].isupper() or sentence[0].isdigit()
            assert sentence.endswith(".")
            assert not {"score", "confidence", "nan", "None"} & set(sentence.lower().split())
