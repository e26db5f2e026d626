"""The web application: a page for people and a JSON API, for pictures that are kept nowhere."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from PIL import Image
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)

from faceage.core import images
from faceage.detection import crops
from faceage.explanation import heatmaps, saliency
from faceage.inference.serving import guard, model_info, schemas
from faceage.inference.serving.batcher import Batcher
from faceage.inference.serving.uploads import Uploads
from faceage.inference.torch_predictor import TorchPredictor

PAGE = Path(__file__).parent / "page"
MAX_PIXELS = 24_000_000
DECODERS = 2  # pictures that are decoded and searched at once, each in up to 72 MB

Detect = Annotated[
    Literal["auto", "always", "never"],
    Query(
        description="always: find faces; never: take the picture as an aligned face; auto: see"
        " which of both it is"
    ),
]
Number = Annotated[int, Query(ge=0, description="which of the faces of the answer, from 0")]
IMAGE = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": schemas.Problem, "description": "without the token, where one is asked for"},
    403: {"model": schemas.Problem, "description": "asked by a page from elsewhere"},
    408: {"model": schemas.Problem, "description": "the picture took too long to arrive"},
    413: {"model": schemas.Problem, "description": "more than 20 MiB, or 24 megapixels"},
    422: {"model": schemas.Problem, "description": "not an image, or damaged"},
    503: {"model": schemas.Problem, "description": "too many requests at once"},
}


def create(predictor: TorchPredictor, model: model_info.Model, token: str | None = None) -> FastAPI:
    """The application around a model.

    Parameters
    ----------
    token : that requests have to bring, None where they need none

    Raises
    ------
    UserError
        If what finds faces is not installed.
    """
    uploads, batcher = Uploads(), Batcher(predictor)
    decoders = ThreadPoolExecutor(DECODERS)
    # The first search loads the detector: better now than with the first picture.
    decoders.submit(crops.find, Image.new("RGB", (64, 64)), "always", predictor.side).result()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker = asyncio.create_task(batcher.run())
        yield
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker

    app = FastAPI(
        title="faceage",
        description="Ages of faces in pictures. Pictures are kept nowhere.",
        lifespan=lifespan,
        docs_url=None,  # these pages would load their code from elsewhere
        redoc_url=None,
    )
    predicted = _observe(app, token)

    async def find(content: bytes, detect: str) -> tuple[Image.Image, list[crops.Crop]]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(decoders, _find, content, detect, predictor.side)

    @app.post("/v1/predict", responses=REFUSALS, openapi_extra=IMAGE)
    async def predict(request: Request, detect: Detect = "auto") -> schemas.Prediction:
        """Predict the age of every face of a picture, which is the body of the request."""
        async with uploads.receive(request) as content:
            picture, found = await find(content, detect)
            faces = []
            if found:
                pixels = np.stack([crop.pixels for crop in found])
                faces = schemas.faces(found, await batcher.predict(pixels))
                predicted.inc(len(faces))
            return schemas.Prediction(width=picture.width, height=picture.height, faces=faces)

    @app.post(
        "/v1/saliency",
        responses=REFUSALS | {200: {"content": {"image/png": {}}}},
        response_class=Response,
        openapi_extra=IMAGE,
    )
    async def explain(request: Request, face: Number = 0, detect: Detect = "auto") -> Response:
        """What the age of a face was predicted from: the aligned face under a saliency map."""
        async with uploads.receive(request) as content:
            _, found = await find(content, detect)
            if face >= len(found):
                raise HTTPException(422, f"faces found, counted from 0: {len(found)}")
            loop = asyncio.get_running_loop()
            pixels = found[face].pixels
            png = await loop.run_in_executor(batcher.thread, _explained, predictor, pixels)
            return Response(png, media_type="image/png")

    @app.get("/v1/model")
    async def describe() -> model_info.Model:
        """Which model is served, and how well it did when it was evaluated."""
        return model

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Answer as soon as ages can be predicted."""
        return {"status": "ok", "model": model.fingerprint}

    _add_pages(app)
    return app


def _observe(app: FastAPI, token: str | None) -> Counter:
    """Guard and count requests, serve the metrics; the counter of faces is the caller's to move."""
    registry = CollectorRegistry()
    requests = Counter("faceage_requests", "Answers by status", ["status"], registry=registry)
    seconds = Histogram("faceage_seconds", "Time to the answer", registry=registry)
    predicted = Counter("faceage_predictions", "Faces whose age was predicted", registry=registry)

    @app.middleware("http")
    async def count(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        start = time.perf_counter()
        refused = guard.refusal(request.url.path, request.headers, token)
        if refused:
            status, detail = refused
            response: Response = JSONResponse({"detail": detail}, status)
        else:
            response = await answer(request)
        if request.url.path.startswith("/v1/"):
            requests.labels(status=response.status_code).inc()
            seconds.observe(time.perf_counter() - start)
        response.headers.update(guard.HEADERS)
        return response

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counters and times in the format of Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return predicted


def _add_pages(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=PAGE))

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(PAGE / "docs.html")


def _find(content: bytes, detect: str, side: int) -> tuple[Image.Image, list[crops.Crop]]:
    try:
        picture = images.decode(content, MAX_PIXELS)
    except images.TooManyPixels as error:
        raise HTTPException(413, images.in_words(error)) from None
    except images.Refused as error:
        raise HTTPException(422, images.in_words(error)) from None
    return picture, crops.find(picture, detect, side)


def _explained(predictor: TorchPredictor, face: np.ndarray) -> bytes:
    """A PNG file of an aligned face, uint8 (side, side, 3), under its saliency map."""
    network = predictor.network.first
    layer = saliency.last_feature_map(network)
    if layer is None:
        raise HTTPException(422, f"{network.architecture.model} has no feature map to show")
    (heat,) = saliency.hires_cam(network, predictor.target, layer, torch.tensor(face)[None])
    size = face.shape[1], face.shape[0]
    enlarged = Image.fromarray(heat.numpy()).resize(size, Image.Resampling.BILINEAR)
    file = io.BytesIO()
    Image.fromarray(heatmaps.over(face, np.asarray(enlarged))).save(file, "PNG")
    return file.getvalue()
