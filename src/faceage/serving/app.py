"""The web application: a page for people and a JSON API, for pictures that are kept nowhere."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from PIL import Image
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)

from faceage import crops, images, saliency
from faceage.predictor import Predictor
from faceage.serving import answers
from faceage.serving.batcher import Batcher, Busy

PAGE = Path(__file__).parent / "page"
MAX_BYTES = 20 * 2**20
MAX_PIXELS = 24_000_000
DECODERS = 2  # pictures that are decoded and searched at once, each in up to 72 MB

Detect = Annotated[
    Literal["auto", "always", "never"],
    Query(description="find faces; take the picture as an aligned face; or see which it is"),
]
REFUSALS: dict[int | str, dict[str, Any]] = {
    413: {"model": answers.Problem, "description": "more than 20 MiB, or 24 megapixels"},
    422: {"model": answers.Problem, "description": "not an image, or damaged"},
    503: {"model": answers.Problem, "description": "too many requests at once"},
}


def create(predictor: Predictor) -> FastAPI:
    """The application around a model."""
    batcher = Batcher(predictor)
    decoders = ThreadPoolExecutor(DECODERS)
    registry = CollectorRegistry()
    requests = Counter("faceage_requests", "Answers by status", ["status"], registry=registry)
    seconds = Histogram("faceage_seconds", "Time to the answer", registry=registry)
    estimated = Counter("faceage_faces", "Faces estimated", registry=registry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker = asyncio.create_task(batcher.run())
        yield
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker

    app = FastAPI(
        title="faceage",
        description="Ages of faces in pictures. Pictures are looked at and forgotten.",
        lifespan=lifespan,
        docs_url=None,  # these pages would load their code from elsewhere
        redoc_url=None,
    )

    @app.middleware("http")
    async def count(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        start = time.perf_counter()
        response = await answer(request)
        if request.url.path.startswith("/v1/"):
            requests.labels(status=response.status_code).inc()
            seconds.observe(time.perf_counter() - start)
        # The page may load nothing from elsewhere and be shown within no other.
        policy = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:"
        response.headers["Content-Security-Policy"] = f"{policy}; frame-ancestors 'none'"
        response.headers["Cache-Control"] = "no-store"
        return response

    async def found(request: Request, detect: str) -> tuple[Image.Image, list[crops.Crop]]:
        content = await _body(request)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(decoders, _look, content, detect, predictor.side)

    @app.post("/v1/predict", responses=REFUSALS, openapi_extra=_IMAGE)
    async def predict(request: Request, detect: Detect = "auto") -> answers.Answer:
        """Estimate every face of a picture, which is the body of the request."""
        picture, cut = await found(request, detect)
        faces = []
        if cut:
            try:
                estimates = await batcher.estimate(np.stack([crop.pixels for crop in cut]))
            except Busy:
                raise HTTPException(503, "too many requests at once: try again later") from None
            faces = answers.faces(cut, estimates)
            estimated.inc(len(faces))
        return answers.Answer(width=picture.width, height=picture.height, faces=faces)

    @app.post(
        "/v1/saliency",
        responses=REFUSALS | {200: {"content": {"image/png": {}}}},
        response_class=Response,
        openapi_extra=_IMAGE,
    )
    async def explain(request: Request, face: int = 0, detect: Detect = "auto") -> Response:
        """Where in a face, counted from 0, the evidence is: the aligned face with a map over it."""
        _, cut = await found(request, detect)
        if not 0 <= face < len(cut):
            raise HTTPException(422, f"there are {len(cut)} faces, counted from 0")
        loop = asyncio.get_running_loop()
        png = await loop.run_in_executor(batcher.thread, _saliency, predictor, cut[face].pixels)
        return Response(png, media_type="image/png")

    _add_pages(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Answer as soon as pictures can be estimated."""
        return {"status": "ok", "model": predictor.fingerprint}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counters and times in the format of Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _add_pages(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=PAGE))

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(PAGE / "docs.html")


_IMAGE = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


async def _body(request: Request) -> bytes:
    """The body, unless it is too long; what is announced too long is not even received."""
    too_long = HTTPException(413, f"the picture has more than {MAX_BYTES // 2**20} MiB")
    if int(request.headers.get("content-length", 0)) > MAX_BYTES:
        raise too_long
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BYTES:
            raise too_long
    return bytes(content)


def _look(content: bytes, detect: str, side: int) -> tuple[Image.Image, list[crops.Crop]]:
    try:
        picture = images.decode(content, MAX_PIXELS)
    except images.TooManyPixels as error:
        raise HTTPException(413, images.in_words(error)) from None
    except images.Refused as error:
        raise HTTPException(422, images.in_words(error)) from None
    return picture, crops.find(picture, detect, side)


def _saliency(predictor: Predictor, pixels: np.ndarray) -> bytes:
    network = predictor.network.first
    layer = saliency.last_feature_map(network)
    if layer is None:
        raise HTTPException(422, f"{network.architecture.model} has no feature map to look at")
    (heat,) = saliency.hires_cam(network, predictor.target, layer, torch.from_numpy(pixels)[None])
    return saliency.png(heat.numpy())
