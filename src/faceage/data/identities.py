"""Who is the same person, by a model of face embeddings that is given as an .onnx file.

The model is to take faces as those trained with ArcFace do (Deng et al. 2019, "ArcFace: Additive
Angular Margin Loss for Deep Face Recognition"): float (1, 3, height, width), red, green, blue in
-1..1, the eyes where its authors' alignment puts them. It gives a vector whose direction says who
it is.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from faceage.core import images, repository
from faceage.core.script import UserError
from faceage.detection.alignment import LEFT_EYE, RIGHT_EYE, Similarity, warp

# Eye centres in shares of the side: those of the template of 112 x 112 pixels.
MODEL_EYES = complex(38.2946, 51.6963) / 112, complex(73.5318, 51.5014) / 112
ALTERNATIVES = "give an .onnx file of a face-embedding model, or none"
BLOCK = 2048


class Embedder:
    """A model of face embeddings, ready for use by many threads at once.

    Parameters
    ----------
    model : path of an .onnx file, as in params.yaml

    Raises
    ------
    UserError
        If there is no such file, or it is no model that takes one square face.
    """

    def __init__(self, model: str) -> None:
        import onnxruntime  # noqa: PLC0415 (few need it, and it is slow to load)

        path = find(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the threads that call it are as many as there are cores
        try:
            self.session = onnxruntime.InferenceSession(path.read_bytes(), options)
            (taken,) = self.session.get_inputs()
            _, channels, self.side, width = taken.shape
            if (channels, width) != (3, self.side):
                raise ValueError(f"it takes {taken.shape}")
        except Exception as error:
            # ONNX Runtime raises a dozen classes of its own for files that it cannot load.
            first_line = str(error).splitlines()[0]
            raise UserError(
                f"data.identity.model: {path} is no model that takes one square face in colour"
                f" ({first_line}); {ALTERNATIVES}"
            ) from None
        self.input = taken.name

    def __call__(self, face: Image.Image) -> np.ndarray:
        """Embed a face that is aligned like UTKFace's: float32 (k,) of length 1."""
        square = Image.fromarray(images.square(face, min(face.size)))
        eyes = square.width * complex(*LEFT_EYE), square.width * complex(*RIGHT_EYE)
        view = Similarity.through((self.side * MODEL_EYES[0], self.side * MODEL_EYES[1]), eyes)
        pixels = warp(square, view, self.side).transpose(2, 0, 1)[None]
        scaled = pixels.astype(np.float32) / 127.5 - 1
        embedding = np.asarray(self.session.run(None, {self.input: scaled})[0]).ravel()
        return (embedding / max(float(np.linalg.norm(embedding)), 1e-12)).astype(np.float32)


def find(model: str) -> Path:
    """The model's file; raises `UserError` if there is none."""
    path = repository.root() / model  # a queued experiment runs in a folder elsewhere
    if not path.is_file():
        raise UserError(f"data.identity.model: there is no file {path}; {ALTERNATIVES}")
    return path


def embedder(model: str) -> Embedder | None:
    """The model of that path; None for `none`."""
    return None if model == "none" else Embedder(model)


def same_person(embeddings: np.ndarray, similarity: float) -> np.ndarray:
    """Pairs of rows, int (pairs, 2), whose cosine similarity is at least so much.

    Parameters
    ----------
    embeddings : float32 (n, k), each of length 1
    """
    pairs = [np.empty((0, 2), dtype=int)]
    for start in range(0, len(embeddings), BLOCK):
        rows = embeddings[start : start + BLOCK]
        alike = rows @ embeddings[: start + len(rows)].T >= similarity
        first, second = np.nonzero(np.tril(alike, start - 1))
        pairs.append(np.stack([first + start, second], axis=1))
    return np.concatenate(pairs)
