import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from filelock import FileLock
from helpers.http_server import Server, clear_proxies, closed_port

from catdog.errors import Failed, Stopped
from catdog.files import downloads
from catdog.files.downloads import fetch

CONTENT = Random(0).randbytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
WORDS = {"what": "The ImageNet weights", "way_out": "check the network, or take the starter."}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    clear_proxies(monkeypatch)
    monkeypatch.setattr(downloads, "RETRY_WAIT_SECONDS", 0.0)


@pytest.fixture
def destination(tmp_path):
    return tmp_path / "cache" / "weights.h5"


def part_of(destination: Path) -> Path:
    return destination.with_name(destination.name + ".part")


@pytest.mark.lowest
def test_a_whole_file_arrives_and_is_not_fetched_again(destination):
    with Server(CONTENT) as server:
        for _ in range(2):
            path = fetch(server.url, destination, **WORDS, size=len(CONTENT), md5=MD5.upper())
            assert path == destination
    assert destination.read_bytes() == CONTENT
    assert not part_of(destination).exists()
    assert len(server.asked) == 1


def test_without_size_and_hash_a_file_without_a_length_arrives(destination):
    with Server(CONTENT, with_length=False) as server:
        fetch(server.url, destination, **WORDS)
    assert destination.read_bytes() == CONTENT


@pytest.mark.lowest
def test_a_cut_connection_goes_on_where_it_was(destination):
    with Server(CONTENT, cuts=2, cut_after=100_000) as server:
        fetch(server.url, destination, **WORDS, size=len(CONTENT), md5=MD5)
    assert destination.read_bytes() == CONTENT
    assert [asked.range for asked in server.asked] == [None, "bytes=100000-", "bytes=200000-"]


def test_retries_end_and_the_next_call_goes_on_from_the_part(destination):
    with Server(CONTENT, cuts=99, cut_after=10_000) as server:
        with pytest.raises(Failed, match="the connection broke off"):
            fetch(server.url, destination, **WORDS, md5=MD5)
        came = 10_000 * (downloads.RETRIES + 1)
        assert part_of(destination).read_bytes() == CONTENT[:came]
        assert not destination.exists()
        server.cuts = 0
        fetch(server.url, destination, **WORDS, md5=MD5)
    assert server.asked[-1].range == f"bytes={came}-"
    assert destination.read_bytes() == CONTENT


def test_a_try_that_brings_nothing_is_the_last(destination):
    with Server(CONTENT, cuts=99, cut_after=0) as server, pytest.raises(Failed):
        fetch(server.url, destination, **WORDS)
    assert len(server.asked) == 1


def test_a_server_without_ranges_starts_over(destination):
    with Server(CONTENT, ranges=False, cuts=1, cut_after=100_000) as server:
        fetch(server.url, destination, **WORDS, size=len(CONTENT), md5=MD5)
    assert [asked.range for asked in server.asked] == [None, "bytes=100000-"]
    assert destination.read_bytes() == CONTENT


def test_a_reply_that_starts_elsewhere_is_not_appended(destination):
    with Server(CONTENT, skipped_bytes=5, cuts=1, cut_after=100_000) as server:
        fetch(server.url, destination, **WORDS, md5=MD5)
    assert [asked.range for asked in server.asked] == [None, "bytes=100000-", None]
    assert destination.read_bytes() == CONTENT


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_complete_part_is_put_in_place(destination, size):
    destination.parent.mkdir()
    part_of(destination).write_bytes(CONTENT)
    with Server(CONTENT) as server:
        fetch(server.url, destination, **WORDS, size=size, md5=MD5)
    assert destination.read_bytes() == CONTENT
    # Without a size only the server can tell (416) that nothing is missing.
    assert len(server.asked) == (0 if size else 1)


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_part_longer_than_the_file_is_dropped(destination, size):
    destination.parent.mkdir()
    part_of(destination).write_bytes(CONTENT + b"more")
    with Server(CONTENT) as server:
        fetch(server.url, destination, **WORDS, size=size, md5=MD5)
    assert destination.read_bytes() == CONTENT
    assert server.asked[-1].range is None


def test_a_complete_part_of_other_content_is_dropped(destination):
    destination.parent.mkdir()
    part_of(destination).write_bytes(CONTENT[::-1])
    with Server(CONTENT) as server:
        fetch(server.url, destination, **WORDS, size=len(CONTENT), md5=MD5)
    assert destination.read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing(destination):
    with Server(CONTENT[::-1]) as server, pytest.raises(Failed) as raised:
        fetch(server.url, destination, **WORDS, size=len(CONTENT), md5=MD5)
    wrong = hashlib.md5(CONTENT[::-1]).hexdigest()
    assert str(raised.value) == (
        f"The ImageNet weights could not be downloaded from {server.root[7:]} (it sent a file with the MD5 "
        f"{wrong} instead of the {MD5} expected): check the network, or take the starter."
    )
    assert not destination.exists()
    assert not part_of(destination).exists()


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_an_announced_wrong_size_is_refused_before_anything_is_written(destination, size):
    with (
        Server(CONTENT) as server,
        pytest.raises(Failed, match=f"offers 300,000 bytes instead of the {size:,} expected"),
    ):
        fetch(server.url, destination, **WORDS, size=size)
    assert not destination.exists()
    assert not part_of(destination).exists()


@pytest.mark.parametrize(
    ("size", "sentence"),
    [(299_999, "sent more than the 299,999 bytes"), (300_001, "sent 300,000 bytes instead of the 300,001")],
)
def test_a_wrong_size_without_announcement_leaves_nothing(destination, size, sentence):
    with Server(CONTENT, with_length=False) as server, pytest.raises(Failed, match=sentence):
        fetch(server.url, destination, **WORDS, size=size)
    assert not destination.exists()
    assert not part_of(destination).exists()


@pytest.mark.parametrize("with_length", [True, False])
def test_without_a_size_the_maximum_holds(destination, monkeypatch, with_length):
    monkeypatch.setattr(downloads, "MAX_BYTES", 200_000)
    with Server(CONTENT, with_length=with_length) as server, pytest.raises(Failed, match="more than the 200,000"):
        fetch(server.url, destination, **WORDS)
    assert not part_of(destination).exists()


@pytest.mark.parametrize("status", [403, 404, 500, 416])
def test_a_refusal_names_the_status(destination, status):
    with Server(CONTENT, status=status) as server, pytest.raises(Failed, match=f"it answered {status} .*starter"):
        fetch(server.url, destination, **WORDS)
    assert len(server.asked) == 1
    assert not part_of(destination).exists()


@pytest.mark.lowest
def test_no_connection_is_a_sentence(destination):
    port = closed_port()
    with pytest.raises(Failed) as raised:
        fetch(f"http://somebody:secret@127.0.0.1:{port}/weights.h5", destination, **WORDS)
    assert str(raised.value) == (
        f"The ImageNet weights could not be downloaded from 127.0.0.1:{port} (no connection): "
        "check the network, or take the starter."
    )


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/file", "weights.h5", "http://", "http://["])
def test_only_web_addresses_are_fetched(destination, url):
    with pytest.raises(Failed, match="address"):
        fetch(url, destination, **WORDS)


@pytest.mark.parametrize("host", ["a..b", "a" * 300, "x:99999"])
def test_an_impossible_host_is_a_sentence(destination, host):
    with pytest.raises(Failed, match="could not be downloaded from"):
        fetch(f"http://{host}/weights.h5", destination, **WORDS)


def test_missing_certificates_are_a_sentence(destination, monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.raises(Failed, match="certificate could not be verified"):
        fetch(f"https://127.0.0.1:{closed_port()}/weights.h5", destination, **WORDS)


def test_a_slow_server_may_take_longer_than_the_timeout(destination, monkeypatch):
    monkeypatch.setattr(downloads, "READ_SECONDS", 1.0)
    with Server(CONTENT, piece_bytes=10_000, pause_seconds=0.05) as server:
        fetch(server.url, destination, **WORDS, md5=MD5)
    assert len(server.asked) == 1
    assert destination.read_bytes() == CONTENT


def test_a_silent_server_fails_and_what_came_is_kept(destination, monkeypatch):
    monkeypatch.setattr(downloads, "READ_SECONDS", 0.2)
    monkeypatch.setattr(downloads, "RETRIES", 1)
    with (
        Server(CONTENT, stall_after=10_000) as server,
        pytest.raises(Failed, match=r"nothing came for 0.2 seconds"),
    ):
        fetch(server.url, destination, **WORDS)
    assert part_of(destination).read_bytes() == CONTENT[:20_000]


@pytest.mark.parametrize("spelling", ["http_proxy", "HTTP_PROXY"])
def test_a_proxy_of_the_environment_is_used(destination, monkeypatch, spelling):
    url = "http://weights.invalid/resnet.h5"
    with Server(CONTENT) as proxy:
        monkeypatch.setenv(spelling, proxy.root)
        fetch(url, destination, **WORDS, md5=MD5)
    assert [asked.target for asked in proxy.asked] == [url]


def test_no_proxy_is_obeyed(destination, monkeypatch):
    with Server(CONTENT) as server, Server(b"from the proxy") as proxy:
        monkeypatch.setenv("http_proxy", proxy.root)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        fetch(server.url, destination, **WORDS, md5=MD5)
    assert not proxy.asked


def test_a_proxy_that_refuses_is_named(destination, monkeypatch):
    with Server() as proxy:
        monkeypatch.setenv("https_proxy", proxy.root)
        with pytest.raises(Failed, match=r"from weights.invalid \(the proxy gave no connection\)"):
            fetch("https://weights.invalid/resnet.h5", destination, **WORDS)
    assert [(asked.method, asked.target) for asked in proxy.asked] == [("CONNECT", "weights.invalid:443")]


@pytest.mark.lowest
def test_two_at_once_fetch_once(destination):
    both_here = threading.Barrier(2)

    def fetch_together(url):
        both_here.wait()
        return fetch(url, destination, **WORDS, md5=MD5).read_bytes()

    with Server(CONTENT, piece_bytes=30_000, pause_seconds=0.02) as server, ThreadPoolExecutor(2) as threads:
        assert list(threads.map(fetch_together, [server.url] * 2)) == [CONTENT, CONTENT]
    assert len(server.asked) == 1


def test_progress_ends_at_the_whole_and_the_destination_is_never_half_there(destination, monkeypatch):
    monkeypatch.setattr(downloads, "PROGRESS_SECONDS", 0.0)
    seen = []

    def look(done, total):
        seen.append((done, total))
        assert destination.exists() == (len(seen) > 1 and seen[-2][0] == done == total)

    with Server(CONTENT, piece_bytes=50_000, pause_seconds=0.01) as server:
        fetch(server.url, destination, **WORDS, on_progress=look)
    assert len(seen) > 2
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_progress_is_told_seldom(destination, monkeypatch):
    monkeypatch.setattr(downloads, "PROGRESS_SECONDS", 60.0)
    seen = []
    with Server(CONTENT, with_length=False, piece_bytes=10_000) as server:
        fetch(server.url, destination, **WORDS, on_progress=lambda *progress: seen.append(progress))
    assert [total for _, total in seen] == [None, len(CONTENT)]
    assert seen[-1][0] == len(CONTENT)


def test_a_stop_keeps_the_part_for_the_next_call(destination):
    with Server(CONTENT, piece_bytes=10_000, pause_seconds=0.01) as server:
        with pytest.raises(Stopped, match=r"^The ImageNet weights did not arrive whole.* goes on from there\.$"):
            fetch(
                server.url,
                destination,
                **WORDS,
                should_stop=lambda: part_of(destination).exists() and part_of(destination).stat().st_size > 50_000,
            )
        came = part_of(destination).stat().st_size
        assert not destination.exists()
        fetch(server.url, destination, **WORDS, md5=MD5)
    assert [asked.range for asked in server.asked] == [None, f"bytes={came}-"]


def test_a_stop_ends_the_wait_for_another_process(destination):
    destination.parent.mkdir()
    polls = iter([False, False, True])
    with FileLock(str(destination) + ".lock"), Server(CONTENT) as server, pytest.raises(Stopped):
        fetch(server.url, destination, **WORDS, should_stop=lambda: next(polls))
    assert not server.asked


def test_a_stop_ends_the_wait_before_a_retry(destination, monkeypatch):
    monkeypatch.setattr(downloads, "RETRY_WAIT_SECONDS", 3600.0)
    slept = []
    monkeypatch.setattr(downloads.time, "sleep", slept.append)
    with Server(CONTENT, cuts=1, cut_after=10_000) as server, pytest.raises(Stopped):
        fetch(server.url, destination, **WORDS, should_stop=lambda: bool(slept))
    assert slept == [downloads.POLL_SECONDS]
    assert len(server.asked) == 1


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "cache").write_text("a file in the way")
    with Server(CONTENT) as server, pytest.raises(Failed, match=r"could not be written to .*cache \(.*writable"):
        fetch(server.url, tmp_path / "cache" / "weights.h5", **WORDS)


def test_a_full_disk_is_a_sentence(destination, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with Server(CONTENT) as server, pytest.raises(Failed, match=r"\(No space left on device\): make room"):
        fetch(server.url, destination, **WORDS)
    assert not destination.exists()
