"""Work on a Ray cluster: the same answers as without one, and nothing lost or done twice when somebody is killed."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.pictures import draw_noise, encoded, place
from helpers.places import REPOSITORY, TESTS
from helpers.trained_runs import small_config

from catdog.__main__ import main
from catdog.cluster import ray_engine
from catdog.cluster.answer_parts import AnswerParts
from catdog.cluster.ray_engine import Share, each_part, share_out
from catdog.errors import Failed, Refused
from catdog.learning.training import train

TWO_WORKERS = ["--engine", "ray", "--workers", "2"]
PHOTOS = 270  # five parts
PATIENCE_SECONDS = 120
# Ray warns of what Ray itself does.
pytestmark = pytest.mark.filterwarnings("ignore")
# Two networks on one processor each may add in another order than one network on both.
CLOSE = 1e-6


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """The address of a cluster of two processors on this machine, to which this process is connected."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), str(TESTS)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        context = ray.init(num_cpus=2, include_dashboard=False, object_store_memory=500_000_000, log_to_driver=False)
        yield context.address_info["gcs_address"]
        ray.shutdown()


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder of small pictures with names of all kinds, of which one is no photo."""
    folder = tmp_path_factory.mktemp("many")
    kinds = [encoded(draw_noise(24, 16, grain=4, seed=seed), "PNG") for seed in range(7)]
    for number in range(PHOTOS - 4):
        place(folder, f"{number // 100}/{number:03}.png", content=kinds[number % len(kinds)])
    place(folder, "=1+1.png", "half\udce4.png", 'a "quoted", name.png')
    place(folder, "none.png", content=b"GIF89a")
    return folder


@pytest.fixture(scope="module")
def plain(trained, photos) -> list[dict[str, str]]:
    """The rows of the plain command's CSV file."""
    assert main(["classify", str(trained), str(photos), "--csv", str(photos.parent / "plain.csv")]) == 0
    return rows_of(photos.parent / "plain.csv")


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def assert_same_rows(found: list[dict[str, str]], expected: list[dict[str, str]]) -> None:
    """Fails unless these are the same answers in the same order, with probabilities that are CLOSE."""
    assert [list(row) for row in found] == [list(row) for row in expected]
    numbers = [name for name in expected[0] if name.startswith("probability_")]
    for row, other in zip(found, expected, strict=True):
        assert {name: row[name] for name in row if name not in numbers} == {
            name: other[name] for name in other if name not in numbers
        }
        assert [row[name] == "" for name in numbers] == [other[name] == "" for name in numbers]
    for name in numbers:
        values = [[float(row[name] or 0) for row in rows] for rows in (found, expected)]
        np.testing.assert_allclose(*values, rtol=0, atol=CLOSE)


def workers() -> list[int]:
    """The processes that are at work on parts now, below this one."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if (folder / "cmdline").read_bytes().startswith(b"ray::MapWorker"):
                found.append(int(folder.name))
        except OSError:  # it has ended meanwhile
            continue

    def is_ours(process: int) -> bool:
        while process > 1 and process != os.getpid():
            process = parents.get(process, 0)
        return process == os.getpid()

    return sorted(filter(is_ours, found))


@pytest.mark.slow
@pytest.mark.lowest
def test_the_answers_are_the_plain_command_s(address, trained, photos, plain, tmp_path, capsys):
    out = tmp_path / "answers.csv"
    assert main(["classify", str(trained), str(photos), *TWO_WORKERS, "--csv", str(out)]) == 0
    assert_same_rows(rows_of(out), plain)
    printed = capsys.readouterr().out
    assert printed.startswith(f"{PHOTOS} photos: ")
    assert "1 could not be read" in printed
    # Nothing stays behind but the file.
    assert [path.name for path in tmp_path.iterdir()] == ["answers.csv"]


@pytest.mark.slow
def test_parquet_has_the_columns_of_the_csv_file(address, trained, photos, plain, tmp_path):
    out = tmp_path / "answers"
    assert main(["classify", str(trained), str(photos), *TWO_WORKERS, "--parquet", str(out)]) == 0
    assert {path.suffix for path in out.iterdir()} == {".parquet"}
    table = pd.read_parquet(out)
    assert list(table) == list(plain[0])
    assert list(table["path"]) == [row["path"].removeprefix("'").replace("\udce4", "\\xe4") for row in plain]
    assert [verdict or "" for verdict in table["verdict"].where(table["verdict"].notna(), "")] == [
        row["verdict"] for row in plain
    ]
    expected = [float(row["probability_cats"]) if row["probability_cats"] else np.nan for row in plain]
    np.testing.assert_allclose(table["probability_cats"], expected, atol=CLOSE)


@pytest.mark.slow
def test_a_killed_worker_s_part_goes_to_another(address, trained, photos, plain, tmp_path, monkeypatch):
    killed, written = [], []
    write = AnswerParts.write

    def kill_and_write(self, number, answers):
        if not killed:
            killed.append(workers()[0])
            os.kill(killed[0], signal.SIGKILL)
        written.append(number)
        write(self, number, answers)

    monkeypatch.setattr(AnswerParts, "write", kill_and_write)
    out = tmp_path / "answers.csv"
    assert main(["classify", str(trained), str(photos), *TWO_WORKERS, "--csv", str(out)]) == 0
    assert killed
    assert sorted(written) == list(range(5))
    assert_same_rows(rows_of(out), plain)


@pytest.mark.slow
def test_a_killed_command_is_resumed_where_it_was(address, trained, photos, plain, tmp_path, monkeypatch, capfd):
    out = tmp_path / "answers.csv"
    flags = ["classify", str(trained), str(photos), *TWO_WORKERS, "--csv", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "RAY_ADDRESS": address}
    with subprocess.Popen([sys.executable, "-m", "catdog", *flags], cwd=tmp_path, env=environment) as process:
        parts = tmp_path / "answers.csv.parts"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not list(parts.glob("part-*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    there = {int(path.stem.removeprefix("part-")) for path in parts.glob("part-*")}
    assert 0 < len(there) < 5
    assert not out.exists()

    # Neither anew without being asked to, nor with other photos.
    assert main(flags) == 2
    assert "go on with --resume" in capfd.readouterr().err
    assert main(["classify", str(trained), str(photos / "0"), *flags[3:], "--resume"]) == 2
    assert "with other photos, another classifier" in capfd.readouterr().err

    asked = []

    def each_asked(work, arguments, parts, share):
        asked.extend(part["part"] for part in parts)
        return each_part(work, arguments, parts, share)

    monkeypatch.setattr(ray_engine, "each_part", each_asked)
    assert main([*flags, "--resume"]) == 0
    assert sorted(asked) == sorted(set(range(5)) - there)
    assert_same_rows(rows_of(out), plain)
    assert not parts.exists()


@pytest.mark.slow
def test_training_gives_the_same(address, drawings, tmp_path, monkeypatch):
    config = small_config(drawings, augment="mirror", fine_tune_epochs=1, bfloat16="off")
    results = {}
    for engine in ("local", "ray"):
        monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / f"cache of {engine}"))
        results[engine] = train(config, tmp_path / engine, engine=engine)
    assert results["ray"]["photos"] == results["local"]["photos"]
    ray_rows, local_rows = (rows_of(tmp_path / engine / "predictions.csv") for engine in ("ray", "local"))
    assert [(row["path"], row["label"]) for row in ray_rows] == [(row["path"], row["label"]) for row in local_rows]
    for row, other in zip(ray_rows, local_rows, strict=True):
        assert float(row["probability_cats"]) == pytest.approx(float(other["probability_cats"]), abs=1e-5)
    # What the workers computed is kept for the next run of either engine.
    monkeypatch.setattr(ray_engine, "each_part", lambda *_: pytest.fail("a photo went through the network again"))
    monkeypatch.setattr("catdog.learning.engines.each_part", digests_alone)
    train(config, tmp_path / "again", engine="ray")
    assert (tmp_path / "again" / "predictions.csv").read_bytes() == (tmp_path / "ray" / "predictions.csv").read_bytes()


def digests_alone(work, arguments, parts, share):
    """What each part of the photos' digests is, and nothing of a network's work."""
    assert work.endswith(":DigestWorker")
    return each_part(work, arguments, parts, share)


@pytest.mark.slow
def test_a_part_that_kills_its_workers_ends_the_work_with_a_sentence(address):
    parts = [{"part": number} for number in range(4)]
    with pytest.raises(Failed, match="The work on Ray ended"):
        list(each_part("helpers.ray_works:Ends", ((2,), ()), parts, Share(2, 1, 0)))


@pytest.mark.slow
def test_what_goes_wrong_in_a_worker_is_told(address):
    with pytest.raises(Failed, match="part 1 is wrong"):
        list(each_part("helpers.ray_works:Ends", ((), (1,)), [{"part": number} for number in range(2)], Share(1, 1, 0)))


@pytest.mark.slow
def test_more_workers_than_processors_are_refused(address, trained, photos, tmp_path, capfd):
    flags = ["--engine", "ray", "--workers", "3", "--csv", str(tmp_path / "answers.csv")]
    assert main(["classify", str(trained), str(photos), *flags]) == 2
    assert "3 workers are more than the 2 processors that Ray has" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_processors_are_shared_out():
    assert share_out({"CPU": 2.0}, None) == Share(1, 2, 0)
    assert share_out({"CPU": 2.0}, 2) == Share(2, 1, 0)
    assert share_out({"CPU": 1.0}, None) == Share(1, 1, 0)
    assert share_out({"CPU": 64.0}, None) == Share(32, 2, 0)
    assert share_out({"CPU": 64.0, "GPU": 4.0}, None) == Share(4, 2, 1)
    with pytest.raises(Refused, match="5 workers are more than the 4 GPUs"):
        share_out({"CPU": 64.0, "GPU": 4.0}, 5)


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_told(tmp_path, trained, photos):
    found = subprocess.run(
        [sys.executable, "-m", "catdog", "classify", str(trained), str(photos), "--engine", "ray", "--csv", "a.csv"],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "RAY_ADDRESS": "nonsense"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 1
    assert "The Ray cluster at nonsense can't be reached" in found.stderr
    assert "Traceback" not in found.stderr
