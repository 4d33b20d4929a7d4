import io
import zipfile

import pytest
from helpers.http_server import Server, clear_proxies, closed_port

from catdog.errors import Failed, Refused, Stopped
from catdog.photos import drawings, samples
from catdog.photos.samples import fetch_tutorial_photos


def tutorial_zip() -> bytes:
    """An archive laid out as the tutorial's: one top folder, and a stray script in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("cats_and_dogs_filtered/", b"")
        archive.writestr("cats_and_dogs_filtered/vectorize.py", b"print('stray')")
        for split in ("train", "validation"):
            for label in ("cat", "dog"):
                archive.writestr(f"cats_and_dogs_filtered/{split}/{label}s/{label}.0.jpg", label.encode())
    return buffer.getvalue()


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A mirror of the tutorial's archive, and a cache of its own."""
    clear_proxies(monkeypatch)
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    with Server(tutorial_zip()) as server:
        monkeypatch.setenv("CATDOG_TUTORIAL_URL", server.url)
        monkeypatch.setattr(samples, "TUTORIAL_BYTES", len(server.content))
        yield server


def downloaded(tmp_path) -> list[str]:
    """What lies in the cache, but for the lock, which stays so that all wait for the same one."""
    return [path.name for path in (tmp_path / "cache" / "downloads").iterdir() if path.suffix != ".lock"]


def test_the_tutorial_photos_fill_the_folder(server, tmp_path):
    seen = []
    folder = tmp_path / "data"
    fetch_tutorial_photos(folder, on_progress=lambda *progress: seen.append(progress))
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "train/cats/cat.0.jpg",
        "train/dogs/dog.0.jpg",
        "validation/cats/cat.0.jpg",
        "validation/dogs/dog.0.jpg",
    ]
    assert (folder / "validation/dogs/dog.0.jpg").read_bytes() == b"dog"
    assert seen[-1] == (len(server.content), len(server.content))
    assert downloaded(tmp_path) == []


def test_a_full_folder_is_refused_before_anything_is_downloaded(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(Refused, match="choose a new or an empty one"):
        fetch_tutorial_photos(tmp_path / "data")
    assert not server.asked


def test_another_size_is_not_taken(server, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "TUTORIAL_BYTES", 68_606_236)
    with pytest.raises(Failed, match=r"The tutorial's photos .* 68,606,236 expected\): .*drawings\.$"):
        fetch_tutorial_photos(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_damaged_archive_is_fetched_anew_the_next_time(server, tmp_path):
    whole = server.content
    server.content = bytes(len(whole))
    with pytest.raises(Refused, match="damaged"):
        fetch_tutorial_photos(tmp_path / "data")
    assert downloaded(tmp_path) == []
    server.content = whole
    fetch_tutorial_photos(tmp_path / "data")
    assert (tmp_path / "data" / "train").is_dir()


def test_a_stop_leaves_the_folder_alone(server, tmp_path):
    with pytest.raises(Stopped):
        fetch_tutorial_photos(tmp_path / "data", should_stop=lambda: True)
    assert not (tmp_path / "data").exists()


def test_without_a_network_the_way_out_is_named(server, tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_TUTORIAL_URL", f"http://127.0.0.1:{closed_port()}/photos.zip")
    with pytest.raises(Failed, match="or start with the drawings"):
        fetch_tutorial_photos(tmp_path / "data")


def test_the_drawings_are_offered_here_too():
    assert samples.draw_photo_set is drawings.draw_photo_set
