"""The server on loopback: answers, limits, hostile input, many clients at once."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
import small_model
import uvicorn
from conftest import photo
from test_images import bomb

from faceage import images
from faceage.predictor import Predictor
from faceage.serving import app as serving
from faceage.serving import batcher

CLIENTS = 50


def running(predictor: Predictor):
    """Start a real server in a thread; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = uvicorn.Config(serving.create(predictor), port=port, log_level="error")
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def address(workspace):
    small_model.write()
    yield from running(Predictor())


def ask(address: str, picture: bytes, **options) -> requests.Response:
    url = f"{address}/v1/predict"
    return requests.post(url, data=picture, params={"detect": "never"} | options, timeout=60)


def test_an_answer_is_that_of_the_model(address):
    answer = ask(address, photo(0, (80, 80))).json()
    (face,) = answer["faces"]
    crop = images.square(images.decode(photo(0, (80, 80))), small_model.SIDE)
    expected = Predictor().estimate(crop[None])
    assert face["age"] == pytest.approx(expected.age[0], abs=0.01)
    assert face["low"] <= face["age"] <= face["high"]
    assert face["group"] == expected.group[0]
    assert [face[key] for key in "xywh"] == [0, 0, 80, 80]
    assert (answer["width"], answer["height"]) == (80, 80)
    assert ask(address, photo(0, (300, 200)), detect="always").json()["faces"] == []


def test_it_is_described_and_counted(address):
    assert requests.get(f"{address}/health", timeout=5).json()["status"] == "ok"
    ask(address, photo(0))
    ask(address, b"no image")
    metrics = requests.get(f"{address}/metrics", timeout=5).text
    assert 'faceage_requests_total{status="200"} 1.0' in metrics
    assert 'faceage_requests_total{status="422"} 1.0' in metrics
    assert "faceage_faces_total 1.0" in metrics
    described = requests.get(f"{address}/openapi.json", timeout=5).json()
    assert set(described["paths"]) == {"/v1/predict", "/v1/saliency", "/health", "/metrics"}
    assert {"413", "422", "503"} <= set(described["paths"]["/v1/predict"]["post"]["responses"])
    page = requests.get(address, timeout=5)
    assert "Nothing leaves this machine" in page.text
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]


def test_saliency_on_request(address):
    options = {"detect": "never", "face": 0}
    answer = requests.post(f"{address}/v1/saliency", data=photo(1), params=options, timeout=60)
    assert answer.status_code in (200, 422)  # the smallest test network may have no map
    missing = options | {"face": 3}
    answer = requests.post(f"{address}/v1/saliency", data=photo(1), params=missing, timeout=60)
    assert answer.json()["detail"] == "there are 1 faces, counted from 0"


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (b"", 422, "not an image"),
        (b"<html></html>", 422, "not an image"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 422, "not an image"),
        (photo(1, (200, 200))[:1500], 422, "damaged"),
        (bomb(300, 400), 422, "damaged"),
        (bomb(50_000, 50_000), 413, "too large: more than 24 megapixels"),
        (bomb(30_000, 2_000), 413, "too large: 30000x2000 pixels"),
        (bytes(serving.MAX_BYTES + 1), 413, "the picture has more than 20 MiB"),
    ],
)
def test_hostile_input_is_refused_and_the_server_stays_up(address, content, status, detail):
    answer = ask(address, content)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)
    assert ask(address, photo(0)).status_code == 200


def test_a_body_without_a_length_is_limited_too(address):
    def parts():
        for _ in range(30):
            yield bytes(2**20)

    answer = requests.post(f"{address}/v1/predict", data=parts(), timeout=60)
    assert answer.status_code == 413
    assert ask(address, photo(0), detect="sometimes").status_code == 422


def test_many_clients_at_once_are_all_answered(address):
    """Each gets the answer to its own picture."""
    expected = [ask(address, photo(n)).json()["faces"][0]["age"] for n in range(CLIENTS)]
    seconds = []

    def client(number: int) -> float:
        start = time.perf_counter()
        answer = ask(address, photo(number))
        seconds.append(time.perf_counter() - start)
        assert answer.status_code == 200, answer.text
        return answer.json()["faces"][0]["age"]

    with ThreadPoolExecutor(CLIENTS) as clients:
        found = list(clients.map(client, 4 * list(range(CLIENTS))))
    assert found == pytest.approx(4 * expected, abs=0.02)
    print(f"p95 of {CLIENTS} clients at once: {1000 * np.percentile(seconds, 95):.0f} ms")


def test_more_than_can_wait_are_turned_away(workspace, monkeypatch):
    """While the model is held up, requests beyond the queue get 503, and it recovers."""
    monkeypatch.setattr(batcher, "WAITING", 2)
    monkeypatch.setattr(batcher, "LARGEST", 1)
    small_model.write()
    predictor = Predictor()
    held, estimate = threading.Event(), predictor.estimate

    def slow(crops: np.ndarray):
        held.wait(30)
        return estimate(crops)

    monkeypatch.setattr(predictor, "estimate", slow)
    for address in running(predictor):
        with ThreadPoolExecutor(8) as clients:
            answers = [clients.submit(ask, address, photo(n)) for n in range(8)]
            while sum(answer.done() for answer in answers) < 4:
                time.sleep(0.05)
            held.set()
            codes = [answer.result().status_code for answer in answers]
        assert set(codes) == {200, 503}
        assert ask(address, photo(0)).status_code == 200
