"""A run as one file: what goes along, what comes out elsewhere, and that nothing else does."""

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.app_pages import open_page, texts
from helpers.opening import opened_here
from hostile.reliability import case_ids, check, tried
from hostile.run_cases import CASES, make_run

from catdog.__main__ import main
from catdog.classifier.loading import load_classifier
from catdog.errors import Failed, Refused
from catdog.exports.packed_runs import file_name_of, pack_run, unpack_run
from catdog.files.json_files import read_json, write_json
from catdog.photos.reading import read_photo
from catdog.results.report_files import read_report
from catdog.runs import jobs
from catdog.runs.run_folder import H5_FILE, KERAS_FILE, read_config, read_status

__all__ = ["opened_here"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return tried("run_cases", tmp_path_factory.mktemp("runs") / "empty")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=case_ids(CASES))
def test_a_strange_file_is_refused_within_its_memory(case, found):
    check(case, found)


@pytest.fixture(scope="module")
def there_and_back(trained, tmp_path_factory) -> tuple[Path, Path]:
    """The file of a trained run, and the folder that was made of it."""
    folder = tmp_path_factory.mktemp("packed")
    file = folder / "run.catdog.zip"
    pack_run(trained, file)
    return file, unpack_run(file, folder / "run")


def test_what_comes_out_answers_to_the_last_bit(trained, drawings, there_and_back):
    _, folder = there_and_back
    before, after = load_classifier(trained), load_classifier(folder)
    photos = [read_photo(path, before.image_size) for path in sorted(drawings.rglob("*.jpg"))[:8]]
    pixels = np.stack(photos)
    np.testing.assert_array_equal(before.probabilities(pixels), after.probabilities(pixels))
    assert after.class_names == before.class_names
    # What is neither is known again, too.
    np.testing.assert_array_equal(after.reference.points, before.reference.points)
    assert after.reference.limit == before.reference.limit


def test_what_comes_out_has_the_same_result_and_no_place_of_this_machine(trained, drawings, there_and_back):
    file, folder = there_and_back
    report, before = read_report(folder), read_report(trained)
    assert report["accuracy"] == before["accuracy"]
    assert [Path(each["path"]).name for each in report["border"]] == [
        Path(each["path"]).name for each in before["border"]
    ]
    settings, settings_before = (read_config(each).as_dict() for each in (folder, trained))
    assert settings == settings_before | {"data": drawings.name}
    with (folder / "predictions.csv").open(newline="") as rows, (trained / "predictions.csv").open(newline="") as old:
        for row, other in zip(csv.reader(rows), csv.reader(old), strict=True):
            assert row[1:] == other[1:]
            assert other[0].endswith(row[0])
    with zipfile.ZipFile(file) as archive:
        inside = b"".join(archive.read(name) for name in archive.namelist())
    assert str(drawings.parent).encode() not in inside
    assert str(trained).encode() not in inside
    assert b"\xff\xd8\xff" not in archive_texts(file)  # no JPEG


def test_a_backbone_file_goes_along_by_its_name_alone(tiny_run, tmp_path):
    backbone = read_config(tiny_run).backbone
    assert Path(backbone).is_absolute()
    pack_run(tiny_run, tmp_path / "run.catdog.zip")
    place = str(Path(backbone).parent).encode()
    assert place not in archive_texts(tmp_path / "run.catdog.zip")
    for file in (KERAS_FILE, H5_FILE, "report.html"):
        assert place not in (tiny_run / file).read_bytes()
    assert read_config(unpack_run(tmp_path / "run.catdog.zip", tmp_path / "run")).backbone == Path(backbone).name


def archive_texts(file: Path) -> bytes:
    """All in the file but arrays and weights, which may hold any bytes."""
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if not name.endswith((".npz", ".keras"))]
        return b"".join(archive.read(name) for name in names)


def test_a_name_goes_along_and_one_that_ended_without_a_word_is_stopped(opened_here, tmp_path):
    run = make_run(tmp_path / "run")
    assert file_name_of(run) == "run.catdog.zip"
    jobs.rename(run, "My cats/dogs: 2")
    assert file_name_of(run) == "My cats_dogs_ 2.catdog.zip"
    status = {"state": "running", "pid": 2**22, "host": "elsewhere", "started": 1.0, "updated": 2.0, "message": ""}
    write_json(run / "status.json", status)
    pack_run(run, tmp_path / "file.zip")
    again = unpack_run(tmp_path / "file.zip", tmp_path / "again")
    assert jobs.label_of(again) == "My cats/dogs: 2"
    found = read_status(again)
    assert (found["state"], found["started"], found["host"]) == ("stopped", 1.0, "")


def test_what_is_no_finished_run_is_not_packed(tmp_path, capsys):
    with pytest.raises(Refused, match="There is no run in"):
        pack_run(tmp_path, tmp_path / "file.zip")
    run = make_run(tmp_path / "run")
    write_json(run / "status.json", read_json(run / "status.json") | {"state": "queued"})
    with pytest.raises(Refused, match="is queued: wait for its end"):
        pack_run(run, tmp_path / "file.zip")
    write_json(run / "status.json", read_json(run / "status.json") | {"state": "failed"})
    (run / "cat_dog_classifier.keras").unlink()
    with pytest.raises(Refused, match="has no classifier to take along"):
        pack_run(run, tmp_path / "file.zip")
    assert main(["pack", str(run), "--out", str(tmp_path)]) == 2
    assert not list(tmp_path.glob("*.zip"))


def test_the_commands_print_one_object(opened_here, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "run")
    assert main(["pack", "run", "--json"]) == 0
    packed = json.loads(capsys.readouterr().out)
    assert packed == {"run": "run", "file": "run.catdog.zip", "bytes": Path("run.catdog.zip").stat().st_size}
    assert main(["unpack", "run.catdog.zip", "--json"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads(capsys.readouterr().out) == {"run": str(folder)}
    assert main(["unpack", "run.catdog.zip", "--out", "run"]) == 2
    assert main(["unpack", "nothing.zip"]) == 2


def test_a_folder_that_can_not_be_written_is_told(tmp_path):
    make_run(tmp_path / "run")
    pack_run(tmp_path / "run", tmp_path / "file.zip")
    (tmp_path / "full").touch()
    with pytest.raises((Failed, Refused), match="full"):
        unpack_run(tmp_path / "file.zip", tmp_path / "full" / "run")


def test_a_run_is_added_on_its_page_and_refused_there(opened_here, place, tmp_path):
    pack_run(make_run(tmp_path / "elsewhere"), tmp_path / "Cats.catdog.zip")
    app = open_page("runs")
    assert "Add a run from a file" in [each.label for each in app.expander]
    upload(app, "none.catdog.zip", b"no zip")
    assert "none\\.catdog\\.zip is no run's file" in "\n".join(each.value for each in app.warning)
    upload(app, "Cats.catdog.zip", (tmp_path / "Cats.catdog.zip").read_bytes())
    assert not app.warning
    (job,) = jobs.list_jobs()
    assert job.status["state"] == "done"
    assert len(app.dataframe) == 1


def upload(app, name: str, content: bytes) -> None:
    """Give the runs page a file."""
    app.file_uploader[0].set_value([(name, content, "application/zip")]).run(timeout=120)
    assert not app.exception


def test_nothing_is_added_where_the_app_is_open_to_the_public(place, monkeypatch):
    monkeypatch.setenv("CATDOG_PUBLIC", "1")
    app = open_page("runs")
    assert "Add a run from a file" not in [each.label for each in app.expander]
    assert "from a file" not in texts(app)
