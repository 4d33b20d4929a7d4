"""Photos that show the same picture are found however they were altered, and others are not."""

import numpy as np
import pytest
from helpers.pictures import altered, draw_scene, encoded, save_scene
from PIL import Image, ImageEnhance

from catdog.photos import look_alikes
from catdog.photos.drawings import draw_photo_set
from catdog.photos.fingerprints import FINGERPRINT, fingerprint_photos, take_fingerprint
from catdog.photos.look_alikes import agreement, candidates, find_look_alikes
from catdog.photos.photo_sets import photos_below


def groups_in(folder) -> list[list[str]]:
    """The groups among a folder's photos, by their sorted names."""
    return [sorted(path.stem for path in group) for group in find_look_alikes(fingerprint_photos(photos_below(folder)))]


@pytest.mark.lowest
@pytest.mark.parametrize("way", ["resized", "encoded anew", "mirrored", "cropped"])
def test_an_altered_copy_is_found(tmp_path, way):
    for number in range(12):
        save_scene(tmp_path / f"{number:02}.png", number)
    for number in (3, 7):
        save_scene(tmp_path / f"{number:02} copy.jpg", altered(draw_scene(number), way), quality=60)
    assert groups_in(tmp_path) == [["03", "03 copy"], ["07", "07 copy"]]


def test_brightness_and_contrast_do_not_matter(tmp_path):
    save_scene(tmp_path / "1.png", 1)
    darker = ImageEnhance.Contrast(ImageEnhance.Brightness(draw_scene(1)).enhance(0.7)).enhance(0.8)
    save_scene(tmp_path / "2.png", darker)
    assert groups_in(tmp_path) == [["1", "2"]]


def test_another_part_of_a_scene_is_another_picture(tmp_path):
    wide = draw_scene(1, 400, 150)
    save_scene(tmp_path / "left.png", wide.crop((0, 0, 200, 150)))
    save_scene(tmp_path / "right.png", wide.crop((200, 0, 400, 150)))
    save_scene(tmp_path / "middle.png", wide.crop((100, 0, 300, 150)))
    assert groups_in(tmp_path) == []


def test_what_looks_alike_by_way_of_a_third_is_one_group(tmp_path):
    picture = draw_scene(1)
    for name, share in (("1", 0.0), ("2", 0.08), ("3", 0.16)):
        save_scene(tmp_path / f"{name}.png", altered(picture, "cropped", share))
    (tmp_path / "4.png").write_bytes((tmp_path / "1.png").read_bytes())
    assert groups_in(tmp_path) == [["1", "2", "3", "4"]]


def test_blank_photos_are_alike_only_where_their_files_are(tmp_path):
    for name, colour in (("1", "white"), ("2", "snow"), ("3", "black")):
        save_scene(tmp_path / f"{name}.png", Image.new("RGB", (80, 80), colour))
    (tmp_path / "4.png").write_bytes((tmp_path / "3.png").read_bytes())
    assert groups_in(tmp_path) == [["3", "4"]]


def test_drawings_are_told_apart(tmp_path):
    draw_photo_set(tmp_path / "drawings", train=60, validation=20, seed=3)
    assert groups_in(tmp_path / "drawings") == []


def test_no_photos_have_no_groups():
    assert find_look_alikes(fingerprint_photos([])) == []


def test_the_order_of_the_photos_does_not_matter(tmp_path):
    for number in range(4):
        save_scene(tmp_path / f"{number}.png", number)
        save_scene(tmp_path / f"{number} copy.jpg", altered(draw_scene(number), "mirrored"))
    paths = photos_below(tmp_path)
    forwards = find_look_alikes(fingerprint_photos(paths))
    assert len(forwards) == 4
    assert find_look_alikes(fingerprint_photos(paths[::-1])) == forwards


def test_photos_are_compared_across_blocks_and_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(look_alikes, "BLOCK", 3)
    monkeypatch.setattr(look_alikes, "PAIRS", 2)
    for number in range(8):
        save_scene(tmp_path / f"{number}.png", number)
    for number in (0, 4, 7):
        save_scene(tmp_path / f"{number} copy.png", altered(draw_scene(number), "resized"))
        save_scene(tmp_path / f"{number} other.png", altered(draw_scene(number), "cropped"))
    assert groups_in(tmp_path) == [[str(number), f"{number} copy", f"{number} other"] for number in (0, 4, 7)]


def test_each_pair_is_a_candidate_once_and_none_with_itself():
    rows = np.concatenate([take_fingerprint(encoded(draw_scene(1), "PNG"))] * 5)
    pairs = [(one, other) for found in candidates(rows) for one, other, mirrored in found.T.tolist() if not mirrored]
    assert sorted(pairs) == [(one, other) for one in range(5) for other in range(one + 1, 5)]


def test_agreement_is_between_pictures_and_crops_of_either(tmp_path):
    whole = draw_scene(5)
    rows = np.concatenate(
        [take_fingerprint(encoded(each, "PNG")) for each in (whole, altered(whole, "cropped", 0.08), draw_scene(6))]
    )
    assert rows.dtype == FINGERPRINT
    grey, plain = rows["grey"], np.array([False])
    assert agreement(grey[:1], grey[:1], plain)[0] == pytest.approx(1)
    assert agreement(grey[:1], grey[1:2], plain)[0] > look_alikes.SAME
    assert agreement(grey[1:2], grey[:1], plain)[0] > look_alikes.SAME
    assert agreement(grey[:1], grey[2:], plain)[0] < 0.8
    assert agreement(grey[:1, :, ::-1], grey[:1], np.array([True]))[0] == pytest.approx(1)
