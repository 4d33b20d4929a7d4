"""A real server that is open to the public: what its headers allow, its limits, and that strangers reach nothing."""

import http.client
import json
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from helpers.browser import served
from helpers.pictures import zip_of
from helpers.places import REPOSITORY

from catdog.runs.jobs import stop
from catdog.runs.owners import owner_of
from catdog.runs.run_folder import Run, create_run, runs_folder
from catdog.runs.visitors import owner_with
from catdog.settings import BACKBONES, TrainConfig

# The benchmarks' way to visit a page without a browser.
sys.path.append(str(REPOSITORY / "benchmarks"))
from sessions import Session

STRANGER = "http://stranger.example"
LIMITS = {"CATDOG_PUBLIC_HEAD_EPOCHS": "4", "CATDOG_PUBLIC_PHOTOS_AT_ONCE": "2"}
OPTIONS = {"STREAMLIT_SERVER_MAX_UPLOAD_SIZE": "1", "STREAMLIT_SERVER_ALLOWED_HOSTS": "127.0.0.1"}


@pytest.fixture(scope="module")
def app(tmp_path_factory, drawings):
    """The address of the app, open to the public, with drawings for all."""
    folder = tmp_path_factory.mktemp("public")
    shutil.copytree(drawings, folder / "cache" / "photos" / "drawings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATDOG_RUNS", str(folder / "runs"))
        with served(folder, CATDOG_PUBLIC="1", **LIMITS, **OPTIONS) as address:
            yield address
        assert "Traceback" not in (folder / "server.log").read_text()


def ask(address: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str):
    """What the server answers to a request with these headers: status, headers, content."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def owner_of_session(session: Session) -> str:
    """What stands in the folders of this visitor."""
    return owner_with(session.cookies["catdog"])


def give_run(session: Session, trained: Path) -> Path:
    """A copy of a finished run for this visitor."""
    run = create_run(TrainConfig(), owner=owner_of_session(session))
    shutil.copytree(trained, run.folder, dirs_exist_ok=True)
    Run(run.folder).set_state("done")
    return run.folder


@pytest.mark.parametrize("path", ["/", "/classify", "/_stcore/health", "/_stcore/host-config", "/media/x.jpg"])
def test_no_other_site_may_read_an_answer(app, path):
    for method in ("GET", "OPTIONS"):
        headers = {name.lower(): value for name, value in ask(app, path, method, Origin=STRANGER)[1].items()}
        assert headers.get("access-control-allow-origin") not in ("*", STRANGER), method


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_nothing_is_uploaded_or_removed_without_the_token_of_the_page(app, method):
    with Session(app) as session:
        session.open("classify")
        (urls,) = session.file_urls(["cat.jpg"])
        cookie, token = session.cookie_header(), session.cookies["_streamlit_xsrf"]
        for headers in ({}, {"Cookie": cookie}, {"X_Xsrftoken": token}, {"Cookie": cookie, "X_Xsrftoken": "2|a|b|1"}):
            assert ask(app, urls.upload_url, method, b"x", **headers)[0] == 403
        allowed = ask(app, urls.upload_url, "OPTIONS", Origin=STRANGER)[1]
        assert STRANGER not in allowed.values()


def handshake(address: str, **headers: str) -> int:
    """The status with which the server answers whoever wants to open a session; 101 where they may."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    upgrade |= {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Protocol": "streamlit"}
    return ask(address, "/_stcore/stream", **upgrade, **headers)[0]


def test_no_other_site_opens_a_session(app):
    assert handshake(app) == handshake(app, Origin=app) == 101
    for origin in (STRANGER, "null", app.replace("http:", "http://x@")):
        assert handshake(app, Origin=origin) == 403
    # As after another site's name was made to lead here.
    assert handshake(app, Origin=STRANGER, Host="stranger.example") == 403


def test_an_upload_beyond_the_servers_limit_is_not_taken(app):
    with Session(app) as session:
        session.open("classify")
        (urls,) = session.file_urls(["cat.jpg"])
        with pytest.raises(Exception, match=r"413|Broken pipe|reset by peer"):
            session.put(urls.upload_url, "cat.jpg", bytes(3_000_000))


def test_no_file_of_a_visitor_lies_at_an_address(app, trained):
    with Session(app) as session:
        session.open("runs")
        folder = give_run(session, trained)
        session.rerun()
        assert len(session.of_kind("dataframe")) == 1
        name = folder.name
        for path in (f"/runs/{name}/config.json", f"/app/static/runs/{name}/config.json", f"/media/{name}.json"):
            for way in (path, path.replace("/runs", "/../runs"), path.replace("/runs", "/%2e%2e/runs")):
                content = ask(app, way)[2]
                assert b'"settings"' not in content
                assert owner_of_session(session).encode() not in content


def test_a_run_is_its_visitors_also_later_and_nobody_elses(app, trained):
    with Session(app) as mine, Session(app) as other:
        for session in (mine, other):
            session.open()
        folder = give_run(mine, trained)
        for page in ("", "runs", "classify"):
            other.open(page)
            assert folder.name not in str(other.elements)
            assert owner_of_session(mine) not in str(other.elements)
        # What no list offers.
        options = list(other.widget("selectbox", "Classifier").options)
        assert options == ["Bundled classifier"]
        other.set("selectbox", "Classifier", string_value=str(folder))
        assert r"98\.8 % right on 1,000 photos" in other.texts()
        mine.open("classify")
        assert len(mine.widget("selectbox", "Classifier").options) == 2
        cookies = dict(mine.cookies)
    with Session(app, cookies) as again, Session(app, {**cookies, "catdog": "x" * 43}) as guessed:
        for session, tables in ((again, 1), (guessed, 0)):
            session.open("runs")
            assert len(session.of_kind("dataframe")) == tables
        assert owner_of_session(again) == owner_of(folder)
        guessed.open()
        assert "Nothing has been trained here yet" in guessed.texts()
    with Session(app, {**cookies, "catdog": owner_of(folder)}) as with_the_digest:
        with_the_digest.open("runs")
        assert not with_the_digest.of_kind("dataframe")


def test_a_photo_to_classify_is_its_visitors_alone(app, drawings):
    photo = next((drawings / "train").glob("*/*"))
    with Session(app) as mine, Session(app) as other:
        for session in (mine, other):
            session.open("classify")
        mine.upload("Photos", [(photo.name, photo.read_bytes())])
        (pictures,) = mine.of_kind("imgs")
        assert mine.get(pictures.imgs[0].url)
        # The other sends what the first one's browser sent.
        identity = other.widget("file_uploader", "Photos").id
        (state,) = mine.widgets.values()
        assert mine.widget("file_uploader", "Photos").id == state.id
        state.id = identity
        other.widgets[identity] = state
        other.rerun()
        assert not other.of_kind("imgs")
        assert "Each photo will appear here" in other.texts()


def test_uploads_of_one_are_no_photos_of_another(app):
    with Session(app) as mine, Session(app) as other:
        for session in (mine, other):
            session.open()
            session.set("button_group", "Where from", string_array_value={"data": ["Upload"]})
        mine.upload("A zip of photos", [("mine.zip", zip_of(5))])
        assert "mine · 10 photos" in mine.widget("radio", "Your uploads").options
        other.rerun()
        assert not [each for each in other.of_kind("radio") if each.label == "Your uploads"]
        # And no folder of the server is a source, whatever a browser sends.
        assert list(other.widget("button_group", "Where from").options) != []
        other.set("button_group", "Where from", string_array_value={"data": ["Folder"]})
        assert not [each for each in other.of_kind("selectbox") if each.label.startswith("Folder")]


def test_limits_hold_for_whatever_a_browser_sends(app, trained, drawings):
    with Session(app) as session:
        session.open()
        assert session.widget("number_input", "Head epochs").max == 4
        session.set("number_input", "Head epochs", double_value=1000.0)
        session.set("selectbox", "Backbone", string_value=str(trained / "cat_dog_classifier.keras"))
        session.set("slider", "Freeze depth", string_array_value={"data": ["Nothing frozen"]})
        before = set(runs_folder().glob("2*"))
        session.click("Train")
        (folder,) = set(runs_folder().glob("2*")) - before
        settings = json.loads((folder / "config.json").read_text())["settings"]
        assert settings["head_epochs"] <= 4
        assert settings["backbone"] in BACKBONES
        assert settings["freeze_depth"] in ("conv4", "conv5")
        stop(folder)
        session.open("classify")
        photos = sorted(drawings.rglob("*.*"))[:3]
        session.upload("Photos", [(photo.name, photo.read_bytes()) for photo in photos])
        assert "At most 2 photos at once, of together 100 MB: choose fewer." in session.texts()
        assert not session.of_kind("imgs")
