"""One of each artefact that a run stores, and what is made of it when it is read."""

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import report_inputs
import small_model
import torch
import yaml
from conftest import edit_params, photo

import ingest
import summary
from faceage.core import hashing, tables
from faceage.core.script import UserError
from faceage.inference import onnx_export
from faceage.inference.onnx_predictor import OnnxPredictor
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import saved_model
from faceage.reporting import results
from faceage.tracking import runs
from faceage.training.checkpoints import Checkpoint

Read = Callable[[], str]
ALONE, MODEL, ONNX = Path("alone"), Path("alone/models"), Path("alone/model.onnx")
CROPS = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Artefact:
    """Files of a kind, one of which is damaged at a time, and a digest of what they are read as."""

    kind: str
    paths: list[Path]
    read: Read
    by_dvc: bool = False  # in a stage that DVC runs, of an output that dvc.lock knows


def outcome(artefact: Artefact, seed: int) -> str:
    """Turn one bit over, read, put it back: noticed, harmless, an earlier one taken, or lost."""
    choice = random.Random(f"{artefact.kind} {seed}")
    path = choice.choice(artefact.paths)
    whole = path.read_bytes()
    expected = artefact.read()
    damaged = bytearray(whole)
    damaged[choice.randrange(len(whole))] ^= 1 << choice.randrange(8)
    path.write_bytes(damaged)
    said = StringIO()
    try:
        with redirect_stderr(said):
            found = artefact.read()
    except UserError as error:
        named = path.name in str(error) or f"{path.parent} is not what" in str(error)
        return "noticed" if named else f"lost: {path} seed {seed}: {error}"
    except Exception as error:  # what a reader would see as a traceback
        return f"lost: {path} seed {seed}: {error!r}"
    finally:
        path.write_bytes(whole)
    if found == expected:
        return "harmless"
    if path.name in said.getvalue() and found == "epoch 1":
        return "epoch before"
    return f"lost: {path} seed {seed}: something else was read"


@contextmanager
def made(folder: Path) -> Iterator[list[Artefact]]:
    """Make them in a folder, which is the working directory meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        report_inputs.prepare(folder, patch, faces=60, test=16, elsewhere=True)
        patch.setenv("DVC_ROOT", str(folder))
        patch.setenv("DVC_STAGE", "report")
        _write_lock()
        data, reports = Path("data"), Path("reports")
        of_reports = [*reports.rglob("*.json"), *reports.rglob("*.csv")]
        of_reports = [path for path in of_reports if path.name != "label_issues.csv"]
        tables_ = [path for path in data.glob("*.csv") if path.name != "conflicts.csv"]
        yield [
            Artefact("faces.parquet", [tables.FACES], _read_report),
            Artefact("faces.parquet without dvc.lock", _moved(folder), _read_faces_alone),
            Artefact("saliency.parquet", [tables.SALIENCY], _read_report),
            Artefact("split and other CSV of data/", sorted(tables_), _read_report),
            Artefact("JSON and CSV of reports/", sorted(of_reports), _read_report),
            Artefact("metrics.json", [summary.METRICS], _read_summary),
            *_of_a_model(folder, patch),
            Artefact("checkpoint", [_checkpoint().path], _read_checkpoint),
            Artefact("cache of ingest", _cache(), _read_ingest),
            Artefact("database of MLflow", _database(), _read_database),
        ]


def _write_lock() -> None:
    """dvc.lock as if stages had written what there is."""
    files = list(Path("data").iterdir())
    files += [path for path in Path("reports").rglob("*") if path.parent != tables.EVALUATION]
    outs = [{"path": path.as_posix(), "md5": hashing.md5(path)} for path in files]
    outs += [{"path": "models/model.json", "md5": hashing.md5(Path("models/model.json"))}]
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"earlier": {"outs": outs}}}))


def _read_report() -> str:
    """All that the stage report reads."""
    found = results.read()
    return _digest(*vars(found).values(), *(content for _, content in _contents()))


def _contents() -> Iterator[tuple[str, bytes]]:
    return tables.image_bytes(tables.read_faces()["face"])


def _moved(folder: Path) -> list[Path]:
    path = folder / "moved" / tables.FACES
    path.parent.mkdir(parents=True)
    path.write_bytes(tables.FACES.read_bytes())
    return [path]


def _read_faces_alone() -> str:
    here = Path.cwd()
    os.chdir("moved")
    try:
        return _digest(tables.read_faces(), *(content for _, content in _contents()))
    finally:
        os.chdir(here)


def _read_summary() -> str:
    return json.dumps(summary.read_metrics())


def _of_a_model(folder: Path, patch: pytest.MonkeyPatch) -> list[Artefact]:
    ALONE.mkdir()
    (ALONE / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    with pytest.MonkeyPatch.context() as inner:
        inner.chdir(folder / ALONE)
        small_model.write(model="test_efficientnet")
    _write_onnx()

    def read_model() -> str:
        return _digest(vars(TorchPredictor(MODEL).predict(CROPS)))

    def read_onnx() -> str:
        return _digest(vars(OnnxPredictor(ONNX).predict(CROPS)))

    return [
        Artefact("model.safetensors", [MODEL / saved_model.WEIGHTS], read_model),
        Artefact(
            "model.json, evaluation.json",
            [MODEL / saved_model.ABOUT, MODEL / saved_model.EVALUATION],
            read_model,
        ),
        Artefact("ONNX", [ONNX], read_onnx),
    ]


def _write_onnx() -> None:
    """A graph in the place of an exported one, which takes PyTorch half a minute."""
    helper, kind = onnx.helper, onnx.TensorProto
    random = np.random.default_rng(0).random((64 * 64 * 3, 1), dtype=np.float32)
    weights = onnx.numpy_helper.from_array(random / 32, "weights")
    width = onnx.numpy_helper.from_array(np.array([[9.0]], dtype=np.float32), "width")
    shape = onnx.numpy_helper.from_array(np.array([-1]), "shape")
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["numbers"], to=kind.FLOAT),
        helper.make_node("MatMul", ["numbers", "weights"], ["column"]),
        helper.make_node("Sub", ["column", "width"], ["lower"]),
        helper.make_node("Add", ["column", "width"], ["upper"]),
        helper.make_node("Reshape", ["column", "shape"], ["age"]),
        helper.make_node("Reshape", ["lower", "shape"], ["low"]),
        helper.make_node("Reshape", ["upper", "shape"], ["high"]),
        helper.make_node("Sub", ["age", "age"], ["nothing"]),
        helper.make_node("Cast", ["nothing"], ["age_group"], to=kind.INT64),
    ]
    pixels = helper.make_tensor_value_info("pixels", kind.UINT8, ["n", 64, 64, 3])
    outputs = [
        helper.make_tensor_value_info(name, kind.FLOAT, ["n"]) for name in ("age", "low", "high")
    ]
    outputs.append(helper.make_tensor_value_info("age_group", kind.INT64, ["n"]))
    graph = helper.make_graph(nodes, "graph", [pixels], outputs, [weights, width, shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", onnx_export.OPSET)])
    model.ir_version = 10
    onnx_export.save(model, TorchPredictor(MODEL), ONNX)


def _checkpoint() -> Checkpoint:
    checkpoint = Checkpoint("0123")
    for epoch in (1, 2):
        checkpoint.save({"history": [epoch], "network": {"weight": torch.randn(64, 64)}})
    return checkpoint


def _read_checkpoint() -> str:
    """Which of the two epochs; what was removed is written again afterwards."""
    checkpoint = Checkpoint("0123")
    state = checkpoint.load()
    return f"epoch {state['history'][-1]}" if state else "nothing"


def _cache() -> list[Path]:
    Path("photographs").mkdir()
    for age in range(20, 40):
        name = f"{age}_0_0_20170101000000{age:03d}.jpg"
        (Path("photographs") / name).write_bytes(photo(age))
    _read_ingest()
    return sorted(Path(".ingest").iterdir())


def _read_ingest() -> str:
    """What ingest writes; in a folder of its own, with this one's cache."""
    here, folder = Path.cwd(), Path("ingested")
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    os.chdir(folder)
    try:
        edit_params({"data.source": str(here / "photographs")})
        with redirect_stdout(StringIO()):
            ingest.main()
        return _digest(tables.FACES.read_bytes(), tables.REJECTED.read_bytes())
    finally:
        os.chdir(here)


def _database() -> list[Path]:
    _read_database()
    return [Path("mlflow.db")]


def _read_database() -> str:
    """A stage logs to it: no result of a stage is read from it."""
    with runs.continue_run(True, "0123") as run:
        run.log_metrics({"mae": 1.0})
    return "logged"


def _digest(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(_bytes(part))
    return digest.hexdigest()


def _bytes(part: object) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, pd.DataFrame):
        return part.to_csv().encode() + repr(part.dtypes.tolist()).encode()
    if isinstance(part, np.ndarray):
        return part.tobytes()
    if isinstance(part, dict):
        return b"".join(str(key).encode() + _bytes(value) for key, value in part.items())
    return repr(part).encode()
