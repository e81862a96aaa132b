"""The page: what it does, what it serves, and how it works in a real browser."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
import torch
from drawn import ALIGN, MEL, face_picture, tone, write_video
from painter import Painter, images_of, painted
from test_cli import TINY

from avcat.apps import web
from avcat.apps.cli import main
from avcat.checkpoint import save_model
from avcat.data.inputs import InputConfig
from avcat.dubbing import Dubber
from avcat.errors import InputError
from avcat.face.landmarks import MediaPipeDetector
from avcat.media.video import probe
from avcat.methods import build
from avcat.settings import to_dict

LIMITS = web.Limits(seconds=3, megabytes=1)
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pair(left: float = 0.1, right: float = 0.1) -> np.ndarray:
    """Two faces beside each other, uint8 [320, 640, 3]."""
    return np.hstack([face_picture(opening=left), face_picture(opening=right)])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    write_video(folder / "two.mp4", iter([pair()] * 12))
    write_video(folder / "long.mp4", iter([np.zeros((64, 64, 3), np.uint8)] * 80))
    write_video(folder / "no_one.mp4", iter([np.zeros((64, 64, 3), np.uint8)] * 10))
    soundfile.write(folder / "sound.wav", tone(0.4), 16_000)
    soundfile.write(folder / "long.wav", tone(4), 16_000)
    (folder / "large.wav").write_bytes(bytes(2 * 2**20))
    return folder


@pytest.fixture(scope="module")
def studio() -> web.Studio:
    detector = MediaPipeDetector(max_faces=4)
    return web.Studio(Dubber(Painter(), detector), detector, LIMITS)


def test_faces_are_numbered_from_the_left(studio: web.Studio, files: Path) -> None:
    picture, count = studio.faces(files / "two.mp4")
    assert count == 2
    assert picture.shape == (320, 640, 3)
    change = np.abs(picture.astype(int) - pair()).max(axis=-1) > 60
    assert change[:, :320].any()
    assert change[:, 320:].any()
    assert studio.faces(files / "no_one.mp4")[1] == 0


def test_numbers_stand_out_from_every_ground_and_stay_inside() -> None:
    """White in black: on white and on black alike a number is seen, also of a face at the picture's very edge."""
    boxes = [np.array([500, 20, 690, 230.0]), np.array([-20, -30, 180, 200.0])]
    drawn = []
    for ground in (0, 255):
        image = np.full((400, 700, 3), ground, np.uint8)
        picture = web.numbered_faces(image, boxes)
        drawn.append(np.abs(picture.astype(int) - ground).max(axis=-1) > 100)
        assert (image == ground).all(), "the caller's picture stays as it is"
    for seen in drawn:
        assert seen[:200, :170].sum() > 150, "the digit of the face that sticks out of the picture"
        assert seen[20:230, 500:690].sum() > 150
    one, two = (web.numbered_faces(np.zeros((400, 700, 3), np.uint8), boxes[:n]) for n in (1, 2))
    assert not np.array_equal(one[:, 480:], two[:, 480:]), "the right one is 1 alone, and 2 beside another"
    assert max(web.numbered_faces(np.zeros((3000, 1000, 3), np.uint8), []).shape) == 960


@pytest.mark.parametrize(("choice", "sides"), [("Face 1", [0]), ("Face 2", [1]), ("Everybody", [0, 1])])
def test_the_face_that_was_picked_is_dubbed(
    studio: web.Studio, files: Path, tmp_path: Path, choice: str, sides: list[int]
) -> None:
    seen: list[str] = []
    which = web.which_face(choice)
    said = studio.dub(
        files / "two.mp4", files / "sound.wav", which, tmp_path / "out.mp4", lambda what, *_: seen.append(what)
    )
    assert said == "0.40 s, 10 frames, 0 left as they were, with no face or no mouth to be seen."
    assert set(seen) == {"find faces", "redraw"}
    halves = np.split(painted(images_of(tmp_path / "out.mp4")[5]), 2, axis=1)
    assert [side for side in (0, 1) if halves[side].any()] == sides
    assert web.which_face(web.LARGEST) == "largest"


@pytest.mark.parametrize(
    ("video", "sound", "reason"),
    [
        ("long.mp4", "sound.wav", r"the video lasts 3\.\d s; at most 3 s"),
        ("two.mp4", "long.wav", r"the sound lasts [34]\.\d s; at most 3 s"),
        ("two.mp4", "none.wav", "no such file"),
    ],
)
def test_limits(studio: web.Studio, files: Path, tmp_path: Path, video: str, sound: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        studio.dub(files / video, files / sound, "largest", tmp_path / "out.mp4", lambda *_: None)
    assert list(tmp_path.iterdir()) == []


def test_where_files_lie_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gradio:
        class Error(Exception):
            def __init__(self, text: str, *, print_exception: bool) -> None:
                super().__init__(text)

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    for reported, shown in (
        (f"{tmp_path}/between/x1/dubbed.mp4: cannot be written (full)", "dubbed.mp4: cannot be written (full)"),
        (f"{tmp_path}/files/0a/my clip.mp4: no face in {tmp_path}/files/b.mp4", "my clip.mp4: no face in b.mp4"),
        ("the sound lasts 4.0 s", "the sound lasts 4.0 s"),
    ):
        with pytest.raises(Gradio.Error) as error, web._told(Gradio):
            raise InputError(reported)
        assert str(error.value) == shown


# What follows asks the command itself, running: Gradio's own warnings would be errors in this process.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Its address and its temporary folder."""
    with served(tmp_path_factory.mktemp("served"), tmp_path_factory.mktemp("tmp"), LIMITS) as (address, folder, _):
        yield address, folder


@contextmanager
def served(folder: Path, temporary: Path, limits: web.Limits) -> Iterator[tuple[str, Path, "subprocess.Popen[str]"]]:
    """A server with a small model: address, temporary folder and process, which has to end well.

    Gradio's environment variables must have no effect.
    """
    torch.manual_seed(0)
    inputs = InputConfig(crop_size=64, align=ALIGN, mel=MEL)
    save_model(folder / "model.pt", "avcat", build("avcat", to_dict(TINY)), TINY, inputs, {})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked = {"GRADIO_SHARE": "True", "GRADIO_ALLOWED_PATHS": "/", "GRADIO_ANALYTICS_ENABLED": "True"}
    asked |= {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    options = ["--max-seconds", str(limits.seconds), "--max-mb", str(limits.megabytes)]
    command = [sys.executable, "-m", "avcat.apps.cli", "web", "--model", str(folder / "model.pt"), "--port", str(port)]
    with subprocess.Popen(
        [*command, *options], cwd=folder, env={**os.environ, **asked}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"Serving http://127.0.0.1:{port}/ until Ctrl-C\n"
            yield f"http://127.0.0.1:{port}", next(temporary.glob("avcat-web-*")), process
            process.terminate()  # which ends as Ctrl-C does, also where that is ignored, as in background jobs
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert list(temporary.iterdir()) == [], "temporary files are removed"
    assert [path.name for path in folder.iterdir()] == ["model.pt"], "nothing is left where it ran"


def status(address: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(address, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


def upload(address: str, path: Path) -> tuple[int, str]:
    edge = "edge-of-the-part"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
    body = head.encode() + path.read_bytes() + f"\r\n--{edge}--\r\n".encode()
    return status(f"{address}/gradio_api/upload", body, **{"Content-Type": f"multipart/form-data; boundary={edge}"})


def given(path: Path | str) -> dict[str, Any]:
    """A file, as the page names it."""
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def listening(address: str, event: str) -> int:
    """The number of the function that is called at an event."""
    (number,) = (
        f["id"] for f in json.loads(status(f"{address}/config")[1])["dependencies"] if f["targets"][0][1] == event
    )
    return int(number)


def join(address: str, body: dict[str, Any]) -> int:
    json_type = {"Content-Type": "application/json"}
    return status(f"{address}/gradio_api/queue/join", json.dumps(body).encode(), **json_type)[0]


@pytest.mark.slow
def test_the_page_is_there_and_loads_nothing_from_elsewhere(server: tuple[str, Path]) -> None:
    code, page = status(server[0])
    assert code == 200
    with urllib.request.urlopen(server[0], timeout=20) as answer:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self' ")
    assert "only with their consent" in page
    assert "fonts.googleapis.com" not in page


@pytest.mark.slow
def test_no_file_of_the_server_is_handed_out(server: tuple[str, Path], files: Path) -> None:
    address, folder = server
    secret = folder / "between" / "secret.txt"  # beside what visitors send
    secret.write_text("secret")
    here = Path(__file__).resolve()
    for path in (
        "/etc/passwd",
        str(here),
        str(secret),
        str(files / "sound.wav"),
        "pyproject.toml",
        "/proc/self/environ",
    ):
        for route in ("/file=", "/gradio_api/file=", "/file/", "/gradio_api/file/", "/gradio_api/proxy=file://"):
            code, _ = status(f"{address}{route}{path}")
            assert code in (403, 404, 405, 400), (route, path, code)
    files_folder = folder / "files"
    for trick in ("/../between/secret.txt", "/%2e%2e/between/secret.txt", "/..%2fbetween%2fsecret.txt"):
        assert status(f"{address}/gradio_api/file={files_folder}{trick}")[0] in (403, 404), trick
    secret.unlink()


@pytest.mark.slow
def test_what_was_uploaded_can_be_had_back_and_a_path_cannot_be_passed_off_as_an_upload(
    server: tuple[str, Path], files: Path
) -> None:
    address, folder = server
    code, answer = upload(address, files / "sound.wav")
    assert code == 200
    (path,) = json.loads(answer)
    assert Path(path).is_relative_to(folder)
    assert status(f"{address}/gradio_api/file={path}")[0] == 200
    body = {"data": [given(files / "two.mp4")], "fn_index": listening(address, "change"), "session_hash": "s1"}
    assert join(address, body) == 200
    events = status(f"{address}/gradio_api/queue/data?session_hash=s1")[1]
    done = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: {")]
    (completed,) = (event for event in done if event["msg"] == "process_completed")
    assert completed["success"] is False
    assert str(files) not in json.dumps(completed)


@pytest.mark.slow
def test_a_file_that_is_too_large_is_refused(server: tuple[str, Path], files: Path) -> None:
    assert upload(server[0], files / "large.wav")[0] == 413


@pytest.mark.slow
def test_ended_while_a_job_runs(tmp_path: Path) -> None:
    """The job is given up, and nothing of it is left."""
    (tmp_path / "served").mkdir()
    (tmp_path / "tmp").mkdir()
    long = write_video(tmp_path / "long.mp4", iter([face_picture()] * 1500))
    soundfile.write(tmp_path / "long.wav", tone(60), 16_000)
    with served(tmp_path / "served", tmp_path / "tmp", web.Limits(60, 10)) as (address, _, process):
        paths = [json.loads(upload(address, path)[1])[0] for path in (long, tmp_path / "long.wav")]
        data = [*map(given, paths), web.LARGEST, True]
        assert join(address, {"data": data, "fn_index": listening(address, "click"), "session_hash": "s2"}) == 200
        with urllib.request.urlopen(f"{address}/gradio_api/queue/data?session_hash=s2", timeout=60) as events:
            seen = next(line for line in events if b'"progress"' in line)
        assert b"Find faces" in seen
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0, "the job alone would take longer"


@pytest.mark.slow
def test_a_port_that_is_taken(server: tuple[str, Path], tmp_path: Path) -> None:
    port, model = server[0].rpartition(":")[2], next(server[1].parent.parent.rglob("served*/model.pt"))
    command = [sys.executable, "-m", "avcat.apps.cli", "web", "--model", str(model), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert f"error: --port {port}: cannot be listened on at 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_checks_before_it_serves(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", "--model", str(files / "sound.wav")]) == 2
    assert "not a model file" in capsys.readouterr().err
    for option in (["--port", "70000"], ["--max-seconds", "0"], ["--max-mb", "-1"]):
        with pytest.raises(SystemExit, match="2"):
            main(["web", *option])
        assert option[1] in capsys.readouterr().err


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    before = tempfile.gettempdir()
    with pytest.raises(InputError, match=r"pip install 'avcat\[web\]'"):
        web.serve(tmp_path / "model.pt", host="127.0.0.1", port=7860, limits=LIMITS, device="cpu")
    assert tempfile.gettempdir() == before
    assert "GRADIO_TEMP_DIR" not in os.environ


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_in_a_browser(server: tuple[str, Path], files: Path, tmp_path: Path, width: int, height: int) -> None:
    """Uploads, picks the right face, agrees, dubs, watches and downloads; nothing is asked of other machines."""
    from playwright.sync_api import expect, sync_playwright

    asked: list[str] = []
    wrong: list[Any] = []
    shots = Path(os.environ.get("AVCAT_SCREENSHOTS", tmp_path))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height}, accept_downloads=True)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(error))
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.goto(server[0])
        expect(page.locator("#notice")).to_contain_text("only with their consent")
        expect(page.locator("#sound")).to_be_visible()
        page.screenshot(path=shots / f"empty-{width}.png", full_page=True)
        page.locator("#video input[type=file]").set_input_files(files / "two.mp4")
        expect(page.locator("#faces img")).to_be_visible()
        page.locator("#sound input[type=file]").set_input_files(files / "sound.wav")
        page.get_by_label("Face 2").check()
        page.locator("#start").click()
        expect(page.get_by_text("Please confirm")).to_be_visible()  # nothing is done without
        page.locator("#agreed input").check()
        page.locator("#start").click()
        expect(page.locator("#said")).to_contain_text("10 frames, 0 left as they were")
        expect(page.locator("#before video")).to_be_visible()
        expect(page.locator("#after video")).to_be_visible()
        page.wait_for_function("document.querySelector('#after video').readyState >= 2")
        page.wait_for_timeout(500)
        page.screenshot(path=shots / f"done-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out to the side"
        assert page.get_by_label("Share").count() == 0
        with page.expect_download() as downloading:
            page.locator("#download").click()
        downloading.value.save_as(tmp_path / "got.mp4")
        browser.close()
    assert probe(tmp_path / "got.mp4").duration_s == pytest.approx(0.4, abs=1e-3)
    pictures = [images_of(path)[5].astype(int) for path in (tmp_path / "got.mp4", files / "two.mp4")]
    drawn = np.abs(pictures[0] - pictures[1]).max(axis=-1) > 40
    left, right = np.split(drawn, 2, axis=1)
    assert right.sum() > 100
    assert left.sum() < 10
    assert {url for url in asked if not url.startswith((server[0], "data:", "blob:"))} == set()
    assert wrong == []


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
def test_what_a_browser_records_is_dubbed(server: tuple[str, Path], tmp_path: Path) -> None:
    """Camera and microphone are Chromium's fake ones, which play a picture of a face and a tone."""
    from playwright.sync_api import expect, sync_playwright

    cv2.imwrite(str(tmp_path / "face.jpg"), face_picture()[:, :, ::-1])
    (tmp_path / "camera.mjpeg").write_bytes((tmp_path / "face.jpg").read_bytes() * 30)
    soundfile.write(tmp_path / "microphone.wav", tone(2.0), 16_000)
    pretended = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={tmp_path / 'camera.mjpeg'}",
        f"--use-file-for-fake-audio-capture={tmp_path / 'microphone.wav'}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", *pretended])
        page = browser.new_page(permissions=["camera", "microphone"], accept_downloads=True)
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.goto(server[0])
        page.locator("#video").get_by_label("Capture from camera").click()
        page.get_by_text("Click to Access Webcam").click()
        page.locator("#video").get_by_text("Record", exact=True).click()
        page.wait_for_timeout(1500)
        page.locator("#video").get_by_text("Stop", exact=True).click()
        expect(page.locator("#faces img")).to_be_visible()
        page.locator("#sound").get_by_label("Record audio").click()
        page.locator("#sound .record-button").click()
        page.wait_for_timeout(1000)
        page.locator("#sound .stop-button").click()
        page.locator("#agreed input").check()
        page.locator("#start").click()
        expect(page.locator("#said")).to_contain_text(", 0 left as they were")
        with page.expect_download() as downloading:
            page.locator("#download").click()
        downloading.value.save_as(tmp_path / "got.mp4")
        browser.close()
    assert 0.5 < probe(tmp_path / "got.mp4").duration_s < LIMITS.seconds
