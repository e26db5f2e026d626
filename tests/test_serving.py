"""The server on loopback: answers, limits, hostile input, many clients at once."""

import io
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import requests
import small_model
from conftest import photo
from local_server import running, write_model
from PIL import Image
from starlette.datastructures import Headers
from test_images import bomb

from faceage.core import images
from faceage.core.utkface import Labels
from faceage.inference.serving import guard, uploads
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks.targets import Dldl
from faceage.sample.synthetic import draw_face

CLIENTS = 50


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def address(model):
    with running(model) as address:
        yield address


def ask(address: str, picture: bytes, path: str = "predict", **options) -> requests.Response:
    url = f"{address}/v1/{path}"
    return requests.post(url, data=picture, params={"detect": "never"} | options, timeout=60)


def test_an_answer_is_that_of_the_model(address, model):
    answer = ask(address, photo(0, (80, 80))).json()
    (face,) = answer["faces"]
    crop = images.square(images.decode(photo(0, (80, 80))), small_model.SIDE).copy()
    expected = TorchPredictor(model).predict(crop[None])
    assert face["age"] == pytest.approx(expected.age[0], abs=0.01)
    assert face["low"] <= face["age"] <= face["high"]
    assert face["age_group"] == expected.age_group[0]
    assert face["distribution"] is None
    assert [face[key] for key in "xywh"] == [0, 0, 80, 80]
    assert (answer["width"], answer["height"]) == (80, 80)
    assert ask(address, photo(0, (300, 200)), detect="always").json()["faces"] == []


def test_a_distribution_is_over_whole_years_from_birth(tmp_path):
    with running(write_model(tmp_path, Dldl(-3, 100, 2.0))) as address:
        (face,) = ask(address, photo(0)).json()["faces"]
    shares = np.array(face["distribution"])
    assert len(shares) == 101
    assert shares.sum() == pytest.approx(1, abs=0.001)


def test_it_is_described_and_counted(model):
    with running(model) as address:
        assert requests.get(f"{address}/health", timeout=5).json()["status"] == "ok"
        ask(address, photo(0))
        ask(address, b"no image")
        metrics = requests.get(f"{address}/metrics", timeout=5).text
        assert 'faceage_requests_total{status="200"} 1.0' in metrics
        assert 'faceage_requests_total{status="422"} 1.0' in metrics
        assert "faceage_predictions_total 1.0" in metrics


def test_the_model_and_the_api_describe_themselves(address):
    about = requests.get(f"{address}/v1/model", timeout=5).json()
    assert about["name"] == "test_resnet"
    assert (about["mae"], about["coverage"], about["synthetic"]) == (5.0, 0.9, True)
    described = requests.get(f"{address}/openapi.json", timeout=5).json()
    paths = {"/v1/predict", "/v1/saliency", "/v1/model", "/health", "/metrics"}
    assert set(described["paths"]) == paths
    answers = set(described["paths"]["/v1/predict"]["post"]["responses"])
    assert {"200", "403", "408", "413", "422", "503"} <= answers
    page = requests.get(address, timeout=5)
    assert "Nothing leaves this machine" in page.text
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]


def test_a_saliency_map_lies_over_its_face(address):
    answer = ask(address, photo(1), "saliency")
    assert answer.headers["Content-Type"] == "image/png"
    shown = Image.open(io.BytesIO(answer.content))
    assert shown.size == (small_model.SIDE, small_model.SIDE)
    assert len(shown.getcolors(2**12) or []) > 100
    answer = ask(address, photo(1), "saliency", face=3)
    assert answer.json()["detail"] == "faces found, counted from 0: 1"
    assert ask(address, photo(1), "saliency", face=-1).status_code == 422


def test_a_network_without_feature_maps_has_no_saliency(tmp_path):
    with running(write_model(tmp_path, model="test_vit", img_size=160)) as address:
        answer = ask(address, photo(1), "saliency")
    assert answer.json()["detail"] == "test_vit has no feature map to show"


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
        (bytes(uploads.MAX_BYTES + 1), 413, "the picture has more than 20 MiB"),
    ],
)
def test_hostile_input_is_refused_and_the_server_stays_up(address, content, status, detail):
    answer = ask(address, content)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)
    assert ask(address, photo(0)).status_code == 200


def test_mutated_pictures_are_answered_or_refused(address):
    choice = random.Random(0)
    for number in range(60):
        content = bytearray(photo(number, kind=choice.choice(["JPEG", "PNG", "WEBP", "TIFF"])))
        for _ in range(choice.randint(1, 20)):
            content[choice.randrange(len(content))] = choice.randrange(256)
        assert ask(address, bytes(content)).status_code in (200, 413, 422)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_picture_is_taken(address, kind):
    first, second = (Image.new("RGB", (64, 64), color) for color in ("white", "black"))
    still, animated = io.BytesIO(), io.BytesIO()
    first.save(still, "PNG")
    first.save(animated, kind, save_all=True, append_images=[second], lossless=True)
    answer = ask(address, animated.getvalue()).json()
    assert answer["faces"] == ask(address, still.getvalue()).json()["faces"]


def test_a_body_without_a_length_is_limited_too(address):
    def parts():
        for _ in range(30):
            yield bytes(2**20)

    answer = requests.post(f"{address}/v1/predict", data=parts(), timeout=60)
    assert answer.status_code == 413
    assert ask(address, photo(0), detect="sometimes").status_code == 422


def connect(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def head(length: str) -> bytes:
    lines = "POST /v1/predict HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {length}"
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_client_that_goes_in_the_middle_of_a_picture(model):
    with running(model) as address:
        with connect(address) as client:
            client.sendall(head("1000") + b"12345")
        for _ in range(100):
            metrics = requests.get(f"{address}/metrics", timeout=5).text
            if "faceage_requests_total{" in metrics:
                break
            time.sleep(0.1)
    assert 'faceage_requests_total{status="400"} 1.0' in metrics


@pytest.mark.parametrize("length", ["many", "-5", "1e3", "5, 6", "9" * 5000])
def test_a_malformed_length_is_refused(address, length):
    with connect(address) as client:
        client.sendall(head(length) + b"12345")
        assert client.recv(12) == b"HTTP/1.1 400"
    assert ask(address, photo(0)).status_code == 200


def test_slow_clients_hold_nobody_up_and_are_not_waited_for(address, monkeypatch):
    monkeypatch.setattr(uploads, "SECONDS", 1)
    with closing(connect(address)) as first, closing(connect(address)) as second:
        for client in (first, second):
            client.sendall(head("1000") + b"1")
        assert ask(address, photo(0)).status_code == 200
        for client in (first, second):
            assert client.recv(12) == b"HTTP/1.1 408"


def test_pages_from_elsewhere_are_not_answered(address):
    for name, value in (("Host", "pages.example"), ("Origin", "http://pages.example")):
        answer = requests.post(f"{address}/v1/predict", photo(0), headers={name: value}, timeout=5)
        assert answer.status_code == 403
    own = requests.post(f"{address}/v1/predict", photo(0), headers={"Origin": address}, timeout=60)
    assert own.status_code == 200
    assert "Access-Control-Allow-Origin" not in own.headers


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "192.168.1.7:80", "[::1]:8000"])
def test_this_machine_may_be_asked_by(host):
    assert guard.objection(Headers({"host": host})) is None


@pytest.mark.parametrize("host", ["", "127.0.0.1.pages.example", "[::1", "localhost.example:8000"])
def test_this_machine_may_not_be_asked_by(host):
    assert guard.objection(Headers({"host": host}))


def test_many_clients_at_once_are_all_answered(address):
    """Each gets the answer to its own picture."""
    expected = [ask(address, photo(n)).json()["faces"][0]["age"] for n in range(CLIENTS)]

    def client(number: int) -> float:
        answer = ask(address, photo(number))
        assert answer.status_code == 200, answer.text
        return answer.json()["faces"][0]["age"]

    with ThreadPoolExecutor(CLIENTS) as clients:
        found = list(clients.map(client, 4 * list(range(CLIENTS))))
    assert found == pytest.approx(4 * expected, abs=0.02)


@pytest.mark.parametrize(("limit", "value"), [("REQUESTS", 3), ("HELD", 3 * len(photo(0)) + 100)])
def test_more_than_can_be_held_are_turned_away(model, monkeypatch, limit, value):
    """While the model is held up some get 503; when it goes on the others are answered."""
    monkeypatch.setattr(uploads, limit, value)
    predictor = TorchPredictor(model)
    held, predict = threading.Event(), predictor.predict

    def slow(crops: np.ndarray):
        held.wait(30)
        return predict(crops)

    monkeypatch.setattr(predictor, "predict", slow)
    with running(model, predictor) as address, ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(ask, address, photo(0)) for _ in range(8)]
        while sum(answer.done() for answer in answers) < 5:
            time.sleep(0.05)
        held.set()
        codes = [answer.result().status_code for answer in answers]
        assert sorted(codes) == [200] * 3 + [503] * 5
        assert ask(address, photo(0)).status_code == 200


def test_a_photograph_with_a_face_is_aligned(address):
    drawn = draw_face(Labels(40, 0, 1), 200, random.Random(0))
    picture = Image.new("RGB", (640, 480), (120, 130, 140))
    picture.paste(drawn, (220, 140))
    (face,) = ask(address, images.encode(picture), detect="auto").json()["faces"]
    assert 200 <= face["x"] < face["x"] + face["w"] <= 440
