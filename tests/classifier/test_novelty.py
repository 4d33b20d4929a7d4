"""Whether a photo is like those that were learned from, and the verdict that follows."""

import numpy as np
import pytest

from catdog.classifier.loading import load_classifier
from catdog.classifier.novelty import (
    REFERENCE_FILE,
    Reference,
    read_reference,
    spread_evenly,
    unit,
    with_limit,
    write_reference,
)
from catdog.classifier.verdicts import verdict_of
from catdog.files.array_files import write_arrays
from catdog.photos.photo_sets import photos_below


def some_features(count: int, seed: int) -> np.ndarray:
    """Features (count, 16), none negative."""
    return np.random.default_rng(seed).random((count, 16), np.float32)


def test_similarity_is_the_mean_cosine_to_the_nearest_points():
    points, photos = unit(some_features(40, 1)), some_features(7, 2)
    means, nearest, cosines = Reference(points, 5, 0.0).compare(photos)
    expected = (photos / np.linalg.norm(photos, axis=1, keepdims=True)) @ points.T
    assert np.allclose(means, np.sort(expected)[:, -5:].mean(axis=1), atol=1e-6)
    assert np.array_equal(nearest, np.argsort(-expected)[:, :5])
    assert np.allclose(cosines, -np.sort(-expected)[:, :5], atol=1e-6)


def test_fewer_points_than_neighbours_are_all_asked():
    means, nearest, _ = Reference(unit(some_features(2, 1)), 5, 0.0).compare(some_features(3, 2))
    assert means.shape == (3,)
    assert nearest.shape == (3, 2)


def test_the_limit_leaves_out_the_stated_share_of_validation_photos():
    validation = some_features(1000, 3)
    reference = with_limit(Reference(unit(some_features(50, 1)), 5, 0.0), validation)
    assert (reference.compare(validation)[0] < reference.limit).mean() == pytest.approx(0.02, abs=0.001)
    # Whatever points elsewhere is further off than any of them.
    assert (reference.compare(-validation)[0] < reference.limit).all()


def test_features_of_nothing_are_similar_to_nothing():
    assert Reference(unit(some_features(9, 1)), 3, 0.5).compare(np.zeros((1, 16)))[0] == [0.0]


@pytest.mark.parametrize("most", [1, 2, 7, 30, 60, 100])
def test_rows_are_taken_evenly_from_each_class(most):
    labels = np.array([0] * 50 + [1] * 10)
    rows = spread_evenly(labels, most, seed=4)
    assert len(rows) == min(most, 60)
    assert np.array_equal(rows, np.unique(rows))
    counts = np.bincount(labels[rows], minlength=2)
    assert counts[1] in (10, *((most // 2, -(-most // 2))))
    assert np.array_equal(rows, spread_evenly(labels, most, seed=4))


def test_a_reference_is_read_as_it_was_written(tmp_path):
    points = unit(some_features(3, 1))
    written = Reference(points, 2, 0.25, ("a.jpg", "b\udcff.jpg", "ç.jpg"), ("cats", "dogs", "dogs"))
    write_reference(tmp_path / REFERENCE_FILE, written)
    found = read_reference(tmp_path / REFERENCE_FILE, 16)
    assert (found.neighbours, found.limit) == (2, 0.25)
    assert (found.paths, found.class_names) == (written.paths, written.class_names)
    assert np.allclose(found.points, points, atol=1e-3)
    assert read_reference(tmp_path / REFERENCE_FILE, 17) is None


@pytest.mark.parametrize(
    "change",
    [
        {"neighbours": 0},
        {"neighbours": "many"},
        {"limit": float("nan")},
        {"limit": None},
        {"paths": ["a.jpg"]},
        {"paths": [1, 2, 3]},
        {"class_names": "abc"},
        {"class_names": []},
    ],
)
def test_a_damaged_reference_is_none(tmp_path, change):
    notes = {"neighbours": 2, "limit": 0.5, "paths": list("abc"), "class_names": list("abc")}
    points = unit(some_features(3, 1)).astype(np.float16)
    write_arrays(tmp_path / REFERENCE_FILE, {"points": points}, **notes)
    assert read_reference(tmp_path / REFERENCE_FILE, 16) is not None
    write_arrays(tmp_path / REFERENCE_FILE, {"points": points}, **notes | change)
    assert read_reference(tmp_path / REFERENCE_FILE, 16) is None


@pytest.mark.parametrize("points", [np.zeros((0, 16), np.float16), np.full((3, 16), np.nan, np.float16), np.ones(3)])
def test_points_that_are_none_are_not_believed(tmp_path, points):
    write_arrays(tmp_path / REFERENCE_FILE, {"points": points}, neighbours=2, limit=0.5, paths=[], class_names=[])
    assert read_reference(tmp_path / REFERENCE_FILE, 16) is None


@pytest.mark.parametrize(
    ("probability", "similarity", "limit", "verdict"),
    [
        (0.99, 0.9, 0.5, "cats"),
        (0.79, 0.9, 0.5, "unsure"),
        (0.99, 0.4, 0.5, "neither"),
        (0.60, 0.4, 0.5, "neither"),
        (0.80, 0.5, 0.5, "cats"),
        (0.99, None, None, "cats"),
        (0.60, None, None, "unsure"),
    ],
)
def test_what_is_strange_comes_before_what_is_unsure(probability, similarity, limit, verdict):
    assert verdict_of("cats", probability, similarity, limit) == verdict


def test_a_run_finds_its_own_training_photos_again(trained, drawings):
    classifier = load_classifier(trained)
    paths = photos_below(drawings / "train")[:5]
    for path, found in zip(paths, classifier.classify(paths), strict=True):
        assert len(found.nearest) == 5
        assert found.nearest[0].path == str(path)
        assert found.nearest[0].class_name == path.parent.name
        assert found.nearest[0].similarity == pytest.approx(1.0, abs=2e-3)
        assert found.similarity == pytest.approx(np.mean([each.similarity for each in found.nearest]), abs=1e-6)


def test_the_limit_of_a_fine_tuned_run_is_that_of_its_own_features(trained, drawings):
    classifier = load_classifier(trained)
    validation = [found.similarity for found in classifier.classify(photos_below(drawings / "validation"))]
    assert classifier.reference.limit == pytest.approx(np.quantile(validation, 0.02), abs=2e-3)


def test_the_map_of_a_prediction_sums_to_the_difference_of_the_logits(trained, drawings):
    classifier = load_classifier(trained)
    _, bias = classifier.head()
    names = classifier.class_names
    for found in classifier.classify(photos_below(drawings / "validation")[:4]):
        given, other = names.index(found.label), names.index(found.runner_up)
        difference = np.log(found.probabilities[found.label] / found.probabilities[found.runner_up])
        assert found.places.sum() + bias[given] - bias[other] == pytest.approx(difference, abs=1e-3)


def test_a_classifier_without_a_reference_never_says_neither(trained, drawings, tmp_path):
    alone = tmp_path / "alone.keras"
    alone.write_bytes((trained / "cat_dog_classifier.keras").read_bytes())
    (tmp_path / REFERENCE_FILE).write_bytes((trained / REFERENCE_FILE).read_bytes())
    for found in load_classifier(alone).classify(photos_below(drawings / "validation"), unsure_below=0.0):
        assert found.similarity is None
        assert found.nearest == ()
        assert found.verdict == found.label
