"""The same person by a model of face embeddings: found, cached, and refused if it is none."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import edit_params, photo
from onnx import TensorProto, helper
from PIL import Image
from test_ingest import STAMP, run_ingest, write_folder

from faceage.core import images, tables
from faceage.core.script import UserError
from faceage.data import identities

SIDE = 16


def write_model(path: Path, side: int = SIDE, channels: int = 3) -> str:
    """A model whose embedding is the means of colours over a grid of 4 x 4."""
    taken = helper.make_tensor_value_info("face", TensorProto.FLOAT, [1, channels, side, side])
    given = helper.make_tensor_value_info("person", TensorProto.FLOAT, [1, channels, 4, 4])
    cell = [side // 4, side // 4]
    pool = helper.make_node(
        "AveragePool", ["face"], ["person"], kernel_shape=cell, strides=cell, name="pool"
    )
    graph = helper.make_graph([pool], "embedding", [taken], [given])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    return str(path)


@pytest.fixture
def model(workspace) -> str:
    return write_model(workspace / "people.onnx")


def clusters(workspace, folder="faces") -> dict[int, str]:
    """Photographs 1, 2, and 1 as if through a screen, which is the same to a coarse eye."""
    whole = np.asarray(images.decode(photo(1, (96, 96))), dtype=int)
    down, across = np.indices((96, 96)) // 6
    screened = (whole + 80 * ((down + across) % 2 * 2 - 1)[..., None]).clip(0, 255)
    files = {
        f"20_0_0_{STAMP}1.jpg": photo(1, (96, 96)),
        f"60_1_2_{STAMP}2.jpg": photo(2, (96, 96)),
        f"50_1_3_{STAMP}3.jpg": images.encode(Image.fromarray(screened.astype(np.uint8))),
    }
    run_ingest(write_folder(files, workspace / folder))
    faces = tables.read_faces()
    return dict(zip(faces["age"], faces["burst_cluster"], strict=True))


def test_similar_faces_are_one_persons(workspace, model):
    apart = clusters(workspace)
    assert len(set(apart.values())) == 3
    edit_params({"data.identity": {"model": model, "similarity": 0.8}})
    together = clusters(workspace)
    assert together[20] == together[50] != together[60]
    assert clusters(workspace) == together  # cached
    edit_params({"data.identity": {"model": model, "similarity": 0.9999}})
    assert clusters(workspace) == apart


def test_eyes_are_put_where_the_model_expects_them(model):
    """A spot at each eye of a face like UTKFace's falls into the cell of the template's eye."""
    pixels = np.zeros((200, 200, 3), dtype=np.uint8)
    for across in (0.2875, 0.6875):
        row, column = round(0.2975 * 200), round(across * 200)
        pixels[row - 3 : row + 3, column - 3 : column + 3] = 255
    embedding = identities.Embedder(model)(Image.fromarray(pixels)).reshape(3, 4, 4)[0]
    brightest = {tuple(divmod(int(place), 4)) for place in np.argsort(-embedding.ravel())[:2]}
    assert brightest == {(1, 1), (1, 2)}  # 51.7 of 112 down; 38.3 and 73.5 across


def test_pairs_are_those_of_all_comparisons(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    monkeypatch.setattr(identities, "BLOCK", 7)
    found = {(int(max(pair)), int(min(pair))) for pair in identities.same_person(vectors, 0.7)}
    assert found == {(a, b) for a in range(50) for b in range(a) if vectors[a] @ vectors[b] >= 0.7}


def test_what_is_no_such_model_is_refused(workspace):
    (workspace / "broken.onnx").write_bytes(b"no graph")
    write_model(workspace / "grey.onnx", channels=1)
    for name, message in {
        "absent.onnx": "there is no file",
        "broken.onnx": "is no model that takes one square face",
        "grey.onnx": "is no model that takes one square face",
    }.items():
        with pytest.raises(UserError, match=f"data.identity.model: .*{message}"):
            identities.embedder(name)
