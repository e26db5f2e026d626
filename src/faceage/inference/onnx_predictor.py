"""An exported model loaded into ONNX Runtime: aligned faces in, predictions out."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from faceage.core import formats
from faceage.core.script import UserError
from faceage.inference.predictions import Predictions
from faceage.networks import saved_model

FILE = Path("export/model.onnx")
EXPORT = "make it with: python src/export.py --format onnx"
METADATA = "faceage"  # the key of what a prediction needs beside the graph
SEAL = "sha256"  # the key of the hash of all that is in the file before it
BATCH = 64  # faces at once, so that memory is bounded


class OnnxPredictor:
    """An .onnx file that src/export.py wrote.

    Parameters
    ----------
    path : of the file
    folder : of the model that it has to be of; None where it may be of any

    Raises
    ------
    UserError
        If there is no such file, it is damaged, of another model or of other intervals.
    """

    def __init__(self, path: Path = FILE, folder: Path | None = None) -> None:
        if not path.is_file():
            raise UserError(f"there is no {path}; {EXPORT}")
        options = onnxruntime.SessionOptions()
        # Heeded by PyTorch, but not by this library; 0: as many threads as there are cores.
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
        content = path.read_bytes()
        try:
            self.session = onnxruntime.InferenceSession(content, options)
            about = json.loads(self.session.get_modelmeta().custom_metadata_map[METADATA])
        except Exception:
            # ONNX Runtime raises a dozen classes of its own for files that it cannot load.
            raise UserError(f"{path} is no model that src/export.py wrote; {EXPORT}") from None
        formats.require_known(about, path)
        if formats.KEY in about and not content.endswith(seal(content[: -len(seal(b""))])):
            raise UserError(f"{path} is damaged; {EXPORT}")
        if folder and saved_model.describe(folder)["fingerprint"] != about["fingerprint"]:
            raise UserError(f"{path} is of another model than {folder}; {EXPORT}")
        if folder and about["intervals"] != _intervals(folder):
            raise UserError(f"{path} is older than the evaluation of {folder}; {EXPORT}")
        self.side: int = about["side"]
        self.age_groups: list[str] = about["age_groups"]
        self.years = None if about["years"] is None else np.array(about["years"])

    def predict(self, crops: np.ndarray) -> Predictions:
        """Predict the ages of aligned faces: uint8 (n, side, side, 3), red, green, blue."""
        batches = [
            self.session.run(None, {"pixels": crops[start : start + BATCH]})
            for start in range(0, len(crops), BATCH)
        ]
        outputs = (np.concatenate(output) for output in zip(*batches, strict=True))
        age, low, high, numbers, *distribution = outputs
        return Predictions(
            age=age.astype(float),
            low=low.astype(float),
            high=high.astype(float),
            age_group=[self.age_groups[number] for number in numbers],
            years=self.years,
            distribution=distribution[0] if distribution else None,
        )


def seal(content: bytes) -> bytes:
    """What goes behind an ONNX file: its hash, as one more entry of the metadata.

    Protocol buffers that follow each other are one, so that any runtime reads the file as before.
    """
    digest = hashlib.sha256(content).hexdigest().encode()
    entry = _field(1, SEAL.encode()) + _field(2, digest)  # StringStringEntryProto: key, value
    return _field(14, entry)  # ModelProto.metadata_props


def _field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer that holds fewer than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def _intervals(folder: Path) -> dict[str, Any] | None:
    evaluation = saved_model.describe_evaluation(folder) or {}
    return evaluation.get("intervals") or None
