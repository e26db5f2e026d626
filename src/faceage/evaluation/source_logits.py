"""What a model says of the faces of a source: on this machine, or by the workers of a cluster."""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from faceage.core import cluster
from faceage.data.candidates import Candidates
from faceage.data.origins import Origin
from faceage.data.selections import Selection
from faceage.data.sources import Source
from faceage.networks import devices, faces, forward, saved_model

LOT = 4 * forward.BATCH  # faces decoded at once: batches are the same wherever it is done


class Lot(NamedTuple):
    """Some faces: their files, and the bytes of those that were cut out of a picture, or none."""

    source: Source
    found: Sequence[tuple[str, bytes]]


def logits_of(origin: Origin, kept: Candidates, side: int, model: Path) -> Tensor:
    """Logits of faces, float32 (n, outputs), of which a lot of pixels at a time is in memory.

    Parameters
    ----------
    side : of the square crops that the model takes, in pixels
    model : folder
    """
    lots = _lots(origin, kept)
    if cluster.is_named():
        return torch.cat(
            list(cluster.in_order(partial(_by_a_worker, model.absolute(), side), lots))
        )
    network = _network(model)
    return torch.cat([_logits_of_lot(network, side, lot) for lot in lots])


def _lots(origin: Origin, kept: Candidates) -> Iterator[Lot]:
    for start in range(0, len(kept), LOT):
        some = kept[start : start + LOT]
        found = [(one.path, bytes(one.record.aligned or b"")) for one in some]
        names = [name for name, _ in found]
        yield Lot(Selection(origin.data.source, origin.source, names), found)


def _by_a_worker(model: Path, side: int, lot: Lot) -> Tensor:
    return _logits_of_lot(_kept_network(model), side, lot)


def _logits_of_lot(network: saved_model.Model, side: int, lot: Lot) -> Tensor:
    table = pd.DataFrame({"face": [name for name, _ in lot.found]})
    contents = ((name, aligned or lot.source.read(name)) for name, aligned in lot.found)
    pixels = faces.decode(table, contents, side)
    return forward.predict(network, pixels, torch.float32)


def _network(model: Path) -> saved_model.Model:
    network, _ = saved_model.load(model)
    return network.to(devices.pick())


# A worker loads the model for its first faces.
_kept_network = cache(_network)
