"""Image files in, ages out: a model folder made ready for use."""

from collections.abc import Sequence
from pathlib import Path

import torch

from faceage import devices, images, saved_model
from faceage.faces import normalise


class Predictor:
    """A saved model on the fastest device there is."""

    def __init__(self, folder: Path = saved_model.FOLDER) -> None:
        self.device = devices.pick()
        network, self.target = saved_model.load(folder)
        self.network = network.to(self.device)
        self.architecture = network.architecture

    @torch.inference_mode()
    def ages(self, files: Sequence[bytes | str | Path]) -> list[float]:
        """Estimate the age, in years, in each image of an aligned face.

        Parameters
        ----------
        files : content of an image file, or its path

        Raises
        ------
        images.NotAnImage, images.TooManyPixels, images.Damaged, OSError
        """
        contents = [file if isinstance(file, bytes) else Path(file).read_bytes() for file in files]
        px = self.architecture.px
        pixels = [torch.from_numpy(images.square(images.decode(c), px).copy()) for c in contents]
        batch = torch.stack(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255
        logits = self.network(normalise(batch, self.architecture.mean, self.architecture.std))
        return [float(age) for age in self.target.age(logits)]
