"""Steps of a training as the recipe has it, of faces in memory or streamed: for streamed.py.

    python benchmarks/streamed_steps.py STEPS

Runs where params.yaml, data/faces.parquet and data/split.csv are; prints the largest memory so far,
in GB, after the labels are read, after the steps and after a part of the validation.
"""

import json

import torch
from command_line import asked
from with_peak import peak

import train
from faceage.core.params import TrainParams, load
from faceage.networks import age_network, devices, targets
from faceage.networks.forward import predict
from faceage.tracking.run import Run
from faceage.training.dataset import batches
from faceage.training.loop import Trainer

BLOCK = 24  # steps that are timed together
EVERY = 10  # of the steps for memory one is learned from: the others hold no more of it
VALIDATED = 3000  # faces, for the memory that it takes


class Steps:
    """One training, in its first phase."""

    def __init__(self, pixels: str) -> None:
        params = load(TrainParams)
        settings = params.train.model_copy(update={"pixels": pixels})
        params = params.model_copy(update={"train": settings})
        devices.pick()
        read = train.read_faces(params, Run())
        target = targets.fit(read.train.labels, params.target, params.groupings)
        self.after_labels = peak()
        architecture = age_network.resolve(params.model, settings, params.target, target.outputs)
        network = age_network.build(architecture, params.weights)
        boundaries = params.groupings["age_group"].boundaries
        self.trainer = Trainer(network, target, settings, read.train, read.val, boundaries, 0)
        self.trainer.start_phase(settings.phases[0])
        self.epoch = 0

    def block(self, count: int = BLOCK, every: int = 1) -> None:
        """The first steps of an epoch, with all the reading that they need and no more.

        every: of how many steps one is learned from, the others are read alone.
        """
        trainer, generator = self.trainer, torch.Generator().manual_seed(self.epoch)
        trainer.module.train()
        steps = batches(trainer._order(generator), trainer.settings.batch_size)[:count]
        trainer._read_ahead(steps)
        for number, rows in enumerate(steps):
            if number % every:
                trainer.train.pixels[rows]
                continue
            trainer.step(rows, generator)
            trainer.average.update(trainer.module, step=1)
        self.epoch += 1


if __name__ == "__main__":
    (count,) = asked(__doc__, "steps")
    found = Steps("stream")
    found.block(int(count), EVERY)
    after_steps = peak()
    trainer = found.trainer
    predict(trainer.average.module, trainer.val.within(slice(VALIDATED)), trainer.dtype)
    print(json.dumps({"labels": found.after_labels, "steps": after_steps, "validation": peak()}))
