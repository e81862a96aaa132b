"""The page on which people rate, and its API.

A rater is identified by a cookie that the server generated when they consented; without it no clip is shown. The page
gets only opaque clip names and positions in the rater's own order: they reveal neither methods nor repetitions.
No part of a URL becomes a path: names are looked up among those that exist.
"""

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, Cookie, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from avcat.errors import InputError
from avcat.study.plan import QUESTIONS, RATINGS, SCALE, clip_path, order_for, read_study
from avcat.study.ratings import HIGHEST, LOWEST, Ratings

COOKIE, COOKIE_DAYS = "rater", 90
MAX_BODY_BYTES = 1024  # three answers take sixty
MAX_RATERS = 10_000  # limits disk use by strangers
GRACE_S = 5  # for pending answers to be saved; a browser may keep a half-loaded clip open for ever
PAGE = Path(__file__).parent / "study_page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}

Value = Annotated[int, Field(strict=True, ge=LOWEST, le=HIGHEST)]


class Consent(BaseModel):
    """The consent, required before anything is shown."""

    model_config = ConfigDict(extra="forbid", strict=True)
    consent: bool


class Answered(BaseModel):
    """The answers to `QUESTIONS` about one clip."""

    model_config = ConfigDict(extra="forbid")
    sync: Value
    quality: Value
    realness: Value


assert tuple(Answered.model_fields) == tuple(question.key for question in QUESTIONS)


def create_app(folder: Path, contact: str = "") -> FastAPI:
    """The study in `folder` as an application; `contact`: contact for raters. Raises InputError."""
    study = read_study(folder)
    files = {clip.clip: clip_path(folder, clip.clip) for clip in study.clips}
    for path in files.values():
        if not path.is_file():
            raise InputError(f"{path}: no such file; build the study again")
    ratings = Ratings(folder / RATINGS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        ratings.close()

    app = FastAPI(openapi_url=None, lifespan=lifespan)
    app.add_middleware(Guard)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, _error: RequestValidationError) -> Response:
        """FastAPI's own answer repeats the input, and fails if that is no text."""
        return PlainTextResponse("not what is asked for", 422)

    def known(rater: Annotated[str, Cookie(alias=COOKIE, max_length=64)] = "") -> str:
        if not ratings.knows(rater):
            raise HTTPException(401, "consent first")
        return rater

    app.include_router(_page())
    app.include_router(_consent(ratings))
    app.include_router(_questions(ratings, list(files), contact, known))
    app.include_router(_clips(files, known))
    return app


def _page() -> APIRouter:
    """The page itself, which is public."""
    router = APIRouter()
    pages = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in TYPES}

    @router.get("/")
    def index() -> Response:
        return page("index.html")

    @router.get("/page/{name}")
    def page(name: str) -> Response:
        if name not in pages:
            raise HTTPException(404)
        return Response(pages[name], media_type=TYPES[Path(name).suffix], headers={"cache-control": "no-cache"})

    return router


def _consent(ratings: Ratings) -> APIRouter:
    """Registers a rater, once, by consent."""
    router = APIRouter()

    @router.post("/api/rater", status_code=201)
    def join(given: Consent, request: Request, response: Response) -> None:
        if not given.consent:
            raise HTTPException(422, "no consent, no study")
        if ratings.count() >= MAX_RATERS:
            raise HTTPException(503, "the study is full")
        response.set_cookie(
            COOKIE,
            ratings.join(),
            max_age=COOKIE_DAYS * 86_400,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )

    return router


def _questions(ratings: Ratings, clips: list[str], contact: str, known: Callable[[str], str]) -> APIRouter:
    """Questions, clips and answers of raters. `known` gives the rater, or refuses."""
    router = APIRouter()
    Rater = Annotated[str, Depends(known)]

    @router.get("/api/study")
    def about() -> dict[str, Any]:
        """What the page needs before consent."""
        return {
            "questions": [question._asdict() for question in QUESTIONS],
            "scale": SCALE,
            "contact": contact,
            "count": len(order_for("", clips)),
        }

    @router.get("/api/rater")
    def session(rater: Rater) -> dict[str, Any]:
        """The rater's own order, and their answers: `answers[n]` is about `clips[n]`, null if missing."""
        answers, shown = ratings.of(rater), order_for(rater, clips)
        return {"clips": [step.clip for step in shown], "answers": [answers.get(step) for step in shown]}

    @router.delete("/api/rater", status_code=204)
    def withdraw(rater: Rater, response: Response) -> None:
        ratings.forget(rater)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    @router.put("/api/ratings/{place}", status_code=204)
    def rate(place: int, answered: Answered, rater: Rater) -> None:
        shown = order_for(rater, clips)
        if not 0 <= place < len(shown):
            raise HTTPException(404)
        if not ratings.rate(rater, shown[place], answered.model_dump()):
            raise HTTPException(401, "withdrawn")

    return router


def _clips(files: Mapping[str, Path], known: Callable[[str], str]) -> APIRouter:
    """The clips, for raters only."""
    router = APIRouter(dependencies=[Depends(known)])

    @router.get("/clips/{name}")
    def clip(name: str) -> Response:
        path = files.get(name.removesuffix(".mp4"))
        if path is None or not name.endswith(".mp4"):
            raise HTTPException(404)
        # The file's own time would reveal which clips were rendered together, that is by one method.
        headers = {
            "last-modified": "Thu, 01 Jan 1970 00:00:00 GMT",
            "etag": f'"{name}"',
            "cache-control": "private, max-age=86400",
        }
        return FileResponse(path, media_type="video/mp4", headers=headers)

    return router


class Guard:
    """Refuses bodies that are larger than any answer, and adds security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        sending = _with_headers(send)
        given = dict(scope["headers"])
        # Without a length a body could be endless; with one the HTTP parser enforces it.
        if b"transfer-encoding" in given:
            return await PlainTextResponse("length required", 411)(scope, receive, sending)
        if int(given.get(b"content-length", 0)) > MAX_BODY_BYTES:
            return await PlainTextResponse("too large", 413)(scope, receive, sending)
        return await self._app(scope, receive, sending)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            have = {name for name, _ in message["headers"]}
            more = {"cache-control": "no-store", **HEADERS}
            message["headers"] = [
                *message["headers"],
                *((k.encode(), v.encode()) for k, v in more.items() if k.encode() not in have),
            ]
        await send(message)

    return sending


def serve(folder: Path, host: str, port: int, contact: str, ready: Callable[[str], None]) -> None:
    """Serves until interrupted; calls `ready` with the address. Raises InputError if it cannot listen there."""
    app = create_app(folder, contact)
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise InputError(f"{host}:{port}: cannot listen there ({error.strerror or error})") from error
    # No access log: it would hold the raters' addresses.
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_S
    )
    with listening, suppress(KeyboardInterrupt):  # which uvicorn raises after the last answer
        ready(f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[listening])
