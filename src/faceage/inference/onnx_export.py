"""A saved model as one ONNX graph: uint8 pixels in; ages, intervals, groups, distributions out."""

import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.nn import functional as F
from torch.onnx import OnnxExporterError

from faceage.core import formats
from faceage.core.outputs import atomic_write
from faceage.core.script import UserError
from faceage.inference.onnx_predictor import METADATA, seal
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks.age_network import unfused_attention
from faceage.networks.backbones import first_line

INPUT = "pixels"
OUTPUTS = ("age", "low", "high", "age_group")
DISTRIBUTION = "distribution"
OPSET = 18


class Graph(nn.Module):
    """Everything from decoded pixels to the prediction, resized as by `faces.to_input`."""

    resize: Tensor
    mean: Tensor
    std: Tensor
    interval_starts: Tensor
    half_widths: Tensor
    group_starts: Tensor

    def __init__(self, predictor: TorchPredictor) -> None:
        super().__init__()
        self.model, self.target, side = predictor.network, predictor.target, predictor.side
        self.learned = predictor.learned
        architecture, calibration = self.model.architecture, predictor.calibration
        starts = [0, *calibration.boundaries] if calibration else [0]
        constants = {
            "resize": interpolation(side, architecture.img_size),
            "mean": torch.tensor(architecture.mean).view(1, 3, 1, 1),
            "std": torch.tensor(architecture.std).view(1, 3, 1, 1),
            "interval_starts": torch.tensor(starts, dtype=torch.float32),
            "half_widths": torch.tensor(calibration.by_age if calibration else [torch.nan]),
            "group_starts": torch.tensor([0, *predictor.grouping.boundaries], dtype=torch.float32),
        }
        for name, value in constants.items():
            self.register_buffer(name, value)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Predict uint8 (n, side, side, 3): age, low, high in years, number of the age group (n,),
        and where the target has one the distribution over whole years (n, k).
        """
        images = resize(pixels.permute(0, 3, 1, 2).float(), self.resize) / 255
        logits = self._logits((images - self.mean) / self.std)
        age = self.target.age(logits)
        half_width = self.half_widths[_bin(age, self.interval_starts)]
        learned = self.target.classes(logits)
        age_group = learned.numbers if learned and self.learned else _bin(age, self.group_starts)
        predicted = age, (age - half_width).clamp(min=0), age + half_width, age_group
        found = self.target.distribution(logits)
        return (*predicted, found[1]) if found else predicted

    def _logits(self, images: Tensor) -> Tensor:
        """As `Model` has them, with the mirror images in the same batch.

        One after the other each network would be in the graph twice, in 8 bits with its weights.
        """
        views = [images, images.flip(-1)] if self.model.architecture.hflip_tta else [images]
        logits = torch.stack([member(torch.cat(views)) for member in self.model.members])
        return logits.unflatten(1, (len(views), -1)).mean(dim=(0, 1))


def interpolation(side: int, img_size: int) -> Tensor:
    """Weights of antialiased bilinear interpolation in one direction: float (size, side).

    Like PyTorch's for uint8 they are fixed-point numbers, the largest of them in 16 bits.
    """
    whole = torch.eye(side, dtype=torch.float64)[None, None]
    weights = F.interpolate(whole, (img_size, side), mode="bilinear", antialias=True)[0, 0]
    unit = 2.0 ** math.floor(math.log2((2**15 - 0.5) / weights.max().item()))
    return (_round(weights * unit) / unit).float()


def resize(images: Tensor, weights: Tensor) -> Tensor:
    """Resize float (n, 3, side, side) in 0..255 with the weights of `interpolation`.

    PyTorch, which this has to equal, rounds to whole levels after the rows and again after the
    columns. Rounded once, a sixth of the pixels are off by a level, and some ages by two years.
    """
    return _round(weights @ _round(images @ weights.T))


def _round(values: Tensor) -> Tensor:
    return (values + 0.5).floor()


def _bin(age: Tensor, starts: Tensor) -> Tensor:
    """Number of the bin of each age, by the first age of each bin."""
    return (age.floor()[:, None] >= starts).sum(dim=1) - 1


def export(predictor: TorchPredictor, path: Path) -> None:
    """Write the graph, for any number of faces at once, to an .onnx file.

    Raises
    ------
    UserError
        If PyTorch cannot express the network in ONNX.
    """
    example = torch.zeros(2, predictor.side, predictor.side, 3, dtype=torch.uint8)
    graph = Graph(predictor).cpu().eval()
    try:
        # PyTorch exports fused attention of windows, which has 5 dimensions, not at all.
        with torch.no_grad(), unfused_attention(graph):
            names = [*OUTPUTS, DISTRIBUTION][: len(graph(example))]
            program = torch.onnx.export(
                graph,
                (example,),
                input_names=[INPUT],
                output_names=names,
                dynamic_shapes={"pixels": {0: torch.export.Dim("n")}},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except OnnxExporterError as error:
        name = predictor.network.architecture.model
        raise UserError(
            f"{name} does not export to ONNX ({_cause(error)}); predict.py and serve.py use it with"
            " PyTorch as it is"
        ) from None
    assert program
    save(program.model_proto, predictor, path)


def save(graph: onnx.ModelProto, predictor: TorchPredictor, path: Path) -> None:
    """Write a graph with what a prediction needs beside it, and the hash of all of it."""
    onnx.helper.set_model_props(graph, {METADATA: json.dumps(_about(predictor))})
    with atomic_write(path) as part:
        _write(graph, part)


def _cause(error: BaseException) -> str:
    """The first thing that went wrong: the exporter wraps it in advice of its own."""
    while error.__cause__:
        error = error.__cause__
    return first_line(error)


def quantise(path: Path, quantised: Path, faces: np.ndarray) -> None:
    """Write the graph with its convolutions in 8 bits, where nearly all of the time goes.

    Static quantisation, weights by channel (Jacob et al. 2018, arXiv:1712.05877). Clipping
    activations are merged into their convolutions, whose 8 bits then span only what they let
    through: without that EfficientNet-Lite0 errs by a year more. The rest stays in float: the
    pixels, sums over branches and the head, where small differences are whole years, cost little.

    Parameters
    ----------
    faces : uint8 (n, side, side, 3), of the validation set, by which activations are scaled
    """
    with atomic_write(quantised) as part, tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        # Folds normalisation into the convolutions.
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            part,
            _Faces(faces),
            op_types_to_quantize=["Conv", "Clip", "Relu"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
        )
        proto = onnx.load(part)
        about = {prop.key: prop.value for prop in onnx.load(path).metadata_props}
        onnx.helper.set_model_props(proto, {METADATA: about[METADATA]})
        _write(proto, part)


def _write(proto: onnx.ModelProto, path: Path) -> None:
    content = proto.SerializeToString()
    path.write_bytes(content + seal(content))


class _Faces(CalibrationDataReader):
    """Faces one by one, as the quantiser asks for them."""

    def __init__(self, faces: np.ndarray) -> None:
        self.remaining: Iterator[np.ndarray] = iter(faces)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next face, as the graph takes it; None at the end."""
        face = next(self.remaining, None)
        return None if face is None else {INPUT: face[None]}


def _about(predictor: TorchPredictor) -> dict[str, Any]:
    years, calibration = predictor.years, predictor.calibration
    return {
        formats.KEY: formats.CURRENT,
        "fingerprint": predictor.fingerprint,
        "intervals": calibration.as_dict() if calibration else None,
        "side": predictor.side,
        "age_groups": predictor.grouping.names,
        "years": None if years is None else years.tolist(),
    }
