"""The study's server as a process of its own: what it keeps, what it refuses, and what it does not reveal."""

import http.client
import json
import random
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from studies import METHODS, rater, serving, write_study

from avcat.apps.cli import main
from avcat.study.plan import FILE, QUESTIONS, RATINGS, clip_path, order_for, read_study

CLIENTS = 30
GOOD = {"sync": 3, "quality": 4, "realness": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "study"
    write_study(folder)
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serving(folder, "--contact", "Ann <ann@example.org>") as address:
        yield address


def rows(folder: Path, who: str) -> list[tuple[str, int, str, int]]:
    with closing(sqlite3.connect(folder / RATINGS)) as db:
        return db.execute(
            "SELECT clip, presentation, question, value FROM ratings WHERE rater = ? ORDER BY 1, 2, 3", (who,)
        ).fetchall()


def test_thirty_at_once_lose_nothing_and_double_nothing(folder: Path, address: str) -> None:
    """Each answers everything in an order of their own, changes their mind, and sends half of it twice."""

    def everything(number: int) -> tuple[str, list[dict[str, int]]]:
        chance = random.Random(number)
        with rater(address) as client:
            session = client.get("/api/rater").json()
            last = [{question.key: chance.randint(1, 5) for question in QUESTIONS} for _ in session["clips"]]
            sent = [(place, GOOD) for place in range(len(last)) if chance.random() < 0.5]
            final = [(place, given) for place, given in enumerate(last) for _ in range(chance.choice((1, 2)))]
            chance.shuffle(sent)
            for place, given in sent + final:
                assert client.put(f"/api/ratings/{place}", json=given).status_code == 204
            assert client.get("/api/rater").json()["answers"] == last
            return client.cookies["rater"], last

    with ThreadPoolExecutor(CLIENTS) as threads:
        done = list(threads.map(everything, range(CLIENTS)))
    assert len({who for who, _ in done}) == CLIENTS
    clips = [clip.clip for clip in read_study(folder).clips]
    for who, last in done:
        wanted = [
            (*shown, key, value)
            for shown, given in zip(order_for(who, clips), last, strict=True)
            for key, value in given.items()
        ]
        assert rows(folder, who) == sorted(wanted)
    with closing(sqlite3.connect(folder / RATINGS)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_answers_are_there_after_the_server_was_ended(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    with serving(tmp_path / "study") as address, rater(address) as client:
        who, before = client.cookies["rater"], client.get("/api/rater").json()
        assert client.put("/api/ratings/4", json=GOOD).status_code == 204
    with serving(tmp_path / "study") as address:
        after = httpx.get(f"{address}/api/rater", cookies={"rater": who}).json()
    assert after["clips"] == before["clips"]
    assert [place for place, given in enumerate(after["answers"]) if given] == [4]
    assert after["answers"][4] == GOOD


def test_nothing_is_shown_without_consent(folder: Path, address: str) -> None:
    clip = read_study(folder).clips[0].clip
    assert httpx.post(f"{address}/api/rater", json={"consent": False}).status_code == 422
    for method, path in (
        ("GET", f"/clips/{clip}.mp4"),
        ("GET", "/api/rater"),
        ("PUT", "/api/ratings/0"),
        ("DELETE", "/api/rater"),
    ):
        for cookies in ({}, {"rater": "made-up"}, {"rater": "' OR 1=1 --"}):
            content = json.dumps(GOOD) if method == "PUT" else None
            answer = httpx.request(method, address + path, cookies=cookies, content=content)
            assert answer.status_code == 401, (method, path)


def test_a_cookie_is_for_the_server_alone(address: str) -> None:
    said = httpx.post(f"{address}/api/rater", json={"consent": True}).headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert "max-age=7776000" in said


def test_who_withdraws_leaves_nothing_behind(folder: Path, address: str) -> None:
    with rater(address) as client:
        who = client.cookies["rater"]
        client.put("/api/ratings/0", json=GOOD)
        assert len(rows(folder, who)) == 3
        assert client.delete("/api/rater").status_code == 204
        assert rows(folder, who) == []
        assert "rater" not in client.cookies
    assert httpx.put(f"{address}/api/ratings/0", json=GOOD, cookies={"rater": who}).status_code == 401


def test_nobody_can_tell_methods_or_repeats(folder: Path, address: str) -> None:
    study = read_study(folder)
    said = []
    with rater(address) as client:
        session = client.get("/api/rater").json()
        paths = ["/", "/page/page.js", "/page/style.css", "/api/study", "/api/rater", "/clips/none.mp4", "/docs"]
        paths += [f"/clips/{clip}.mp4" for clip in session["clips"]]
        for path in paths:
            answer = client.get(path)
            said.append(f"{answer.url} {answer.headers} {answer.text}")
    words = {*METHODS, *(clip.video for clip in study.clips), *(clip.sound for clip in study.clips), str(folder)}
    assert [word for word in words for text in said if word in text] == []
    assert set(session) == {"clips", "answers"}
    times = {text.split("last-modified")[1][:40] for text in said if "last-modified" in text}
    assert len(times) == 1, "when a file was written would tell which were rendered together"


def test_clips_come_whole_and_in_parts(folder: Path, address: str) -> None:
    clip = read_study(folder).clips[3].clip
    whole = clip_path(folder, clip).read_bytes()
    with rater(address) as client:
        answer = client.get(f"/clips/{clip}.mp4")
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, whole, "video/mp4")
        part = client.get(f"/clips/{clip}.mp4", headers={"range": "bytes=16-31"})
        assert (part.status_code, part.content) == (206, whole[16:32])
        assert client.get(f"/clips/{clip}.mp4", headers={"range": "bytes=99999-"}).status_code == 416


@pytest.mark.parametrize(
    "path",
    [
        "/clips/../study.json",
        "/clips/%2e%2e%2fstudy.json",
        "/clips/..%2f..%2fstudy.json",
        "/clips/%2e%2e/study.json",
        "/clips//etc/passwd",
        "/clips/%2fetc%2fpasswd.mp4",
        "/clips/study.json",
        "/page/..%2fstudy_server.py",
        "/page/../study_server.py",
        "/page/%2e%2e%5cstudy_server.py",
        "/page/",
        "/study.json",
        "/ratings.sqlite",
        "/plan.json",
        "//study.json",
        "/openapi.json",
        "/docs",
        "/clips/" + "a" * 5000 + ".mp4",
        "/clips/%00.mp4",
    ],
)
def test_no_other_file_can_be_reached(folder: Path, address: str, path: str) -> None:
    with rater(address) as client:
        cookie = f"rater={client.cookies['rater']}"
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    connection.request("GET", path, headers={"cookie": cookie})  # unlike httpx, as it is
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 404
    assert len(body) < 100


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({**GOOD, "sync": 0}, 422),
        ({**GOOD, "sync": 6}, 422),
        ({**GOOD, "sync": "3"}, 422),
        ({**GOOD, "sync": 3.5}, 422),
        ({**GOOD, "sync": True}, 422),
        ({**GOOD, "sync": None}, 422),
        ({**GOOD, "rater": "another"}, 422),
        ({"sync": 3, "quality": 4}, 422),
        ([3, 4, 5], 422),
        ({**GOOD, "more": "x" * 2000}, 413),
    ],
)
def test_half_an_answer_is_none(folder: Path, address: str, given: object, code: int) -> None:
    with rater(address) as client:
        assert client.put("/api/ratings/0", json=given).status_code == code
        assert rows(folder, client.cookies["rater"]) == []


def test_what_else_is_refused(folder: Path, address: str) -> None:
    with rater(address) as client:
        places = len(client.get("/api/rater").json()["clips"])
        for place, code in ((places, 404), (-1, 404), ("first", 422), (10**30, 404)):
            assert client.put(f"/api/ratings/{place}", json=GOOD).status_code == code
        endless = client.put("/api/ratings/0", content=iter([b"[" * 100] * 100))
        assert endless.status_code == 411
        assert client.put("/api/ratings/0", content=b"\xff{").status_code == 422
        assert client.post("/api/ratings/0", json=GOOD).status_code == 405
        assert rows(folder, client.cookies["rater"]) == []


def test_browsers_are_told_to_be_careful(address: str) -> None:
    headers = httpx.get(address).headers
    assert headers["content-security-policy"].startswith("default-src 'self'; ")
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers
    assert httpx.get(f"{address}/api/study").headers["cache-control"] == "no-store"
    assert httpx.get(f"{address}/api/study").json()["contact"] == "Ann <ann@example.org>"


def test_what_cannot_be_served(tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path / "study")
    port = address.rsplit(":", 1)[1]
    cases = {"cannot listen there": ["study", "--port", port], "study.json: No such file": ["none"]}
    cases["cannot listen there ("] = ["study", "--host", "256.1.1.1"]
    for reason, (name, *options) in cases.items():
        assert main(["study", "serve", str(tmp_path / name), *options]) == 2
        assert reason in capsys.readouterr().err
    clip_path(tmp_path / "study", study.clips[0].clip).unlink()
    assert main(["study", "serve", str(tmp_path / "study")]) == 2
    assert "no such file; build the study again" in capsys.readouterr().err
    (tmp_path / "study" / FILE).write_text("{}")
    assert main(["study", "serve", str(tmp_path / "study")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
