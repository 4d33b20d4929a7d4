"""The cache of kept activations: its limit, what has to go for it, clearing, and the command that shows it."""

import os
import shutil
import time
from collections import namedtuple

import pytest
from helpers.processes import one_json_object, run_python
from helpers.shelved import assert_holds, digests, filled, rows_of, shelf_of

from catdog.__main__ import main
from catdog.files import shelves
from catdog.files.folders import REMOVED
from catdog.files.shelves import (
    IN_USE_SECONDS,
    SPARE_BYTES,
    Shelf,
    clear_shelves,
    limit_bytes,
    list_shelves,
    make_room,
    shelves_folder,
)

DiskUsage = namedtuple("DiskUsage", "total used free")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CATDOG_CACHE_GB", raising=False)


def unused_since(shelf: Shelf, seconds: float) -> None:
    """Let a shelf look as if nobody had used it for so long."""
    then = time.time() - seconds
    os.utime(shelf.folder, (then, then))


def three_idle_shelves() -> list[Shelf]:
    """Shelves of about a kilobyte each; the first was used before the second, and that before the third."""
    found = [filled(*range(10), view=view) for view in range(3)]
    for age, shelf in zip((3, 2, 1), found, strict=True):
        unused_since(shelf, age * IN_USE_SECONDS + 5)
    return found


def size_of(*shelves_found: Shelf) -> int:
    """How many bytes shelves have together."""
    return sum(path.stat().st_size for shelf in shelves_found for path in shelf.folder.iterdir())


def limit_to(monkeypatch, size_bytes: int) -> None:
    """Set the limit of all shelves together."""
    monkeypatch.setenv("CATDOG_CACHE_GB", repr(size_bytes / 1e9))


def left(*found: Shelf) -> list[bool]:
    """Which shelves are still there."""
    return [shelf.folder.exists() for shelf in found]


def test_within_the_limit_nothing_has_to_go(monkeypatch):
    found = three_idle_shelves()
    limit_to(monkeypatch, size_of(*found) + 100)
    assert make_room(99, shelves_folder())
    assert left(*found) == [True, True, True]


def test_the_least_recently_used_goes_first(monkeypatch):
    found = three_idle_shelves()
    limit_to(monkeypatch, size_of(*found) + 100)
    assert make_room(150, shelves_folder())
    assert left(*found) == [False, True, True]
    found[1].find(digests(1))
    assert make_room(size_of(found[2]) + 150, shelves_folder())
    assert left(*found) == [False, True, False]
    assert sorted(path.name for path in shelves_folder().iterdir()) == [found[1].folder.name]


def test_a_shelf_in_use_stays(monkeypatch):
    found = three_idle_shelves()
    limit_to(monkeypatch, size_of(*found) + 100)
    found[0].count_missing(digests(1))
    assert make_room(150, shelves_folder())
    assert left(*found) == [True, False, True]


def test_nothing_goes_for_what_would_not_fit_even_then(monkeypatch):
    found = three_idle_shelves()
    found[2].touch()
    limit_to(monkeypatch, size_of(*found) + 100)
    assert not make_room(size_of(*found), shelves_folder())
    assert left(*found) == [True, True, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", 2_000_000_000),
        ("0.5", 500_000_000),
        ("0", 0),
        ("-3", 0),
        ("", 20_000_000_000),
        ("plenty", 20_000_000_000),
        ("nan", 20_000_000_000),
        ("inf", 20_000_000_000),
    ],
)
def test_the_limit_is_what_the_environment_says(monkeypatch, text, expected):
    monkeypatch.setenv("CATDOG_CACHE_GB", text)
    assert limit_bytes() == expected


def test_without_a_limit_in_the_environment_it_is_20_gigabytes():
    assert limit_bytes() == 20_000_000_000


def test_a_limit_of_nothing_takes_only_what_is_there(monkeypatch):
    shelf = filled(1)
    monkeypatch.setenv("CATDOG_CACHE_GB", "0")
    assert not make_room(1, shelves_folder())
    assert make_room(0, shelves_folder())
    assert_holds(shelf, 1)


def test_a_full_disk_has_no_room(monkeypatch):
    found = three_idle_shelves()
    free = SPARE_BYTES + 500
    monkeypatch.setattr(shelves.shutil, "disk_usage", lambda path: DiskUsage(10**12, 10**12 - free, free))
    assert make_room(500, shelves_folder())
    assert not make_room(free, shelves_folder())
    assert left(*found) == [True, True, True]


def test_shelves_go_where_the_disk_needs_it(monkeypatch):
    found = three_idle_shelves()
    before = size_of(*found)

    def usage(path):
        free = SPARE_BYTES + 50 + before - size_of(*(shelf for shelf in found if shelf.folder.exists()))
        return DiskUsage(10**12, 10**12 - free, free)

    monkeypatch.setattr(shelves.shutil, "disk_usage", usage)
    assert make_room(100, shelves_folder())
    assert left(*found) == [False, True, True]


def test_a_folder_that_can_not_be_written_raises(tmp_path):
    (tmp_path / "file").touch()
    shelf = shelf_of(parent=tmp_path / "file" / "activations")
    with pytest.raises(NotADirectoryError):
        shelf.find(digests(1))
    with pytest.raises(NotADirectoryError):
        shelf.append(digests(1), rows_of(1))
    with pytest.raises(NotADirectoryError):
        make_room(1, tmp_path / "file" / "activations")
    assert list_shelves(tmp_path / "file" / "activations") == []


def test_a_shelf_without_its_index_counts_and_goes_too():
    shelf = filled(1, 2)
    (shelf.folder / "index.bin").unlink()
    (summary,) = list_shelves(shelves_folder())
    assert (summary.photos, summary.size_bytes) == (0, size_of(shelf))
    assert summary.size_bytes > 2 * shelf.row_bytes
    assert clear_shelves(shelves_folder()) == summary.size_bytes
    assert list(shelves_folder().iterdir()) == []


@pytest.mark.parametrize("end", [make_room, clear_shelves])
def test_a_removal_that_was_interrupted_is_ended(end):
    shelf = filled(1)
    gone = shelf.folder.with_name(f"{REMOVED}0123")
    shutil.copytree(shelf.folder, gone)
    (gone / "shelf.json").unlink()
    assert [summary.folder for summary in list_shelves(shelves_folder())] == [shelf.folder]
    end(*((0,) if end is make_room else ()), shelves_folder())
    assert not gone.exists()


def test_the_command_shows_what_is_kept(capfd, monkeypatch):
    monkeypatch.setenv("CATDOG_CACHE_GB", "3")
    older, newer = filled(1, 2, 3), filled(1, kind="pooled", view=1)
    unused_since(older, 100)
    assert main(["cache", "--json"]) == 0
    found = one_json_object(capfd.readouterr().out)
    assert found == {
        "folder": str(shelves_folder()),
        "limit_bytes": 3_000_000_000,
        "size_bytes": size_of(older, newer),
        "shelves": [
            {
                **{"kind": kind, "image_size": 224, "view": view, "backbone": "b" * 64},
                **{"photos": photos, "size_bytes": size_of(shelf), "used": shelf.folder.stat().st_mtime},
            }
            for kind, view, photos, shelf in (("conv4", 0, 3, older), ("pooled", 1, 1, newer))
        ],
    }
    assert main(["cache"]) == 0
    first, *lines, total = capfd.readouterr().out.splitlines()
    assert first == str(shelves_folder())
    assert [line.split()[:2] for line in lines] == [["conv4", "224"], ["pooled", "224"]]
    assert ["3 photos" in lines[0], "mirrored" in lines[1]] == [True, True]
    assert total == "0.0 MB of at most 3.0 GB (CATDOG_CACHE_GB sets the limit)."


def test_the_command_clears(capfd):
    found = [filled(*range(50), view=view) for view in range(2)]
    size = size_of(*found)
    assert main(["cache", "--clear", "--json"]) == 0
    printed = capfd.readouterr()
    shown = one_json_object(printed.out)
    assert (shown["size_bytes"], shown["shelves"]) == (0, [])
    assert printed.err == f"{size / 1e6:.1f} MB freed.\n"
    assert left(*found) == [False, False]
    assert main(["cache", "--clear"]) == 0
    assert capfd.readouterr().out.splitlines()[0] == "0.0 MB freed."


def test_the_command_shows_a_shelf_that_it_knows_nothing_of(capfd):
    shelf = filled(1)
    (shelf.folder / "shelf.json").write_text("[")
    assert main(["cache", "--json"]) == 0
    (shown,) = one_json_object(capfd.readouterr().out)["shelves"]
    assert (shown["kind"], shown["view"], shown["photos"]) == (None, None, 1)
    assert main(["cache"]) == 0
    assert "unknown" in capfd.readouterr().out


def test_the_command_needs_no_tensorflow(tmp_path):
    code = (
        "import sys; from catdog.__main__ import main; main(['cache', '--clear']); "
        "print('tensorflow' in sys.modules, 'streamlit' in sys.modules)"
    )
    assert run_python("-c", code, cwd=tmp_path).stdout.splitlines()[-1] == "False False"
