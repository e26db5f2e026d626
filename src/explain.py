"""Stage `explain`: what in a dozen test faces the predicted ages are attributed to.

    python src/explain.py

Reads  models/, data/faces.parquet, reports/predictions.csv
Writes data/saliency.parquet: HiResCAM of the worst and of typical test faces
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

from faceage.core import tables
from faceage.core.script import run
from faceage.explanation import saliency, selection
from faceage.networks import faces, saved_model

EACH = 6  # worst faces, and typical ones


def main() -> None:
    """Pick the faces, compute their maps on the CPU, where they repeat bit for bit."""
    predictions = tables.read_predictions()
    if "error" not in predictions:
        tables.write_saliency([])
        print("the faces have classes and no ages: none is missed by more than others, no maps")
        return
    shown = selection.worst_and_typical(predictions, EACH)
    model, target = saved_model.load()
    network = model.first
    layer = saliency.last_feature_map(network)
    if layer is None:
        tables.write_saliency([])
        print(f"{network.architecture.model} has no feature map that HiResCAM can weigh: no maps")
        return
    side = faces.stored_side(tables.read_faces())
    pixels = faces.decode(shown, tables.image_bytes(shown["face"]), side)
    maps = saliency.hires_cam(network, target, layer, pixels).numpy()
    rows = [
        {"face": face, "kind": kind, "attribution": saliency.png(attribution)}
        for face, kind, attribution in zip(shown["face"], shown["kind"], maps, strict=True)
    ]
    tables.write_saliency(rows)
    print(f"saliency of {len(rows)} test faces")


if __name__ == "__main__":
    run(main)
