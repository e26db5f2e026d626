"""Stage `check`: refuse a configuration that cannot work before any earlier result is touched.

    python src/check.py

Reads  params.yaml and what it points to: the sources, a published split, the model's name, the
       weights, the model of identities; shards that are far; the models that find faces
Writes data/checked/params.txt, always the same: the other stages wait for it, and rerun only for
       reasons of their own
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

from pathlib import Path

from faceage.core import tables
from faceage.core.outputs import atomic_write
from faceage.core.params import Params, load
from faceage.core.script import UserError, run
from faceage.core.settings import Data, External, FurtherSource
from faceage.core.shards import Shards
from faceage.data import identities, sources
from faceage.data.readers import registry
from faceage.detection import detector
from faceage.networks import age_network, targets
from faceage.networks.targets import AUXILIARY
from faceage.training.optimizers import make_optimizer, make_scheduler
from faceage.training.phases import check_sizes
from faceage.training.transforms import make_transforms


def main() -> None:
    """Check keys and values, then build and open on trial what they name."""
    params = load(Params)
    targets.check(
        params.target,
        params.train.reweight,
        [entry.weight for entry in params.data.sources.values()],
    )
    make_transforms(params.train.augment)
    for number, phase in enumerate(params.train.phases):
        make_transforms(phase.augment or [], f"train.phases.{number}.augment")
    outputs = 1 + AUXILIARY if params.target.gender or params.target.race else 1
    architecture = age_network.resolve(params.model, params.train, params.target, outputs)
    check_sizes(params.train.phases, architecture)
    network = age_network.build(architecture, params.weights)
    optimizer = make_optimizer(network, params.train, params.train.lr)
    make_scheduler(optimizer, params.train, epochs=1, steps=1)
    identities.embedder(params.data.identity.model)
    detector.models_folder()  # evaluate, hours later, looks for the faces of the test set
    places: list[Data | FurtherSource | External] = [
        params.data,
        *params.data.sources.values(),
        *params.external.values(),
    ]
    for place in places:
        registry.known(place.layout)
        if Path(place.source) != Path("data/sample"):  # which the stage `sample` has yet to draw
            with sources.open_source(place.source):
                pass
    if "://" in params.train.faces:
        Shards(params.train.faces)
    split = Path(params.split.source)
    if split != tables.FACES and not split.is_file():  # the faces are yet to be ingested
        raise UserError(f"split.source: there is no file {split}; {tables.FACES}: a split is drawn")
    with atomic_write("data/checked/params.txt") as part:
        part.write_text("params.yaml has been found sound by src/check.py\n")


if __name__ == "__main__":
    run(main)
