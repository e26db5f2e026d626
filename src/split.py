"""Stage `split`: assign each face to train, val or test, clusters on one side.

    python src/split.py

Reads  data/faces.parquet
Writes data/split.csv, reports/split.json
"""

from faceage.core import tables
from faceage.core.outputs import write_json
from faceage.core.params import SplitParams, load
from faceage.core.script import UserError, run
from faceage.data import splitting


def main() -> None:
    """Bin the ages, assign whole clusters, report how even the splits came out."""
    params = load(SplitParams)
    split = params.split
    shares = {name: getattr(split, name) for name in tables.SPLITS}

    faces = tables.read_faces()
    faces["cluster"] = faces["face" if split.clusters == "none" else f"{split.clusters}_cluster"]
    ages, classes = faces["age"], faces["age_class"]
    has_ages = bool(ages.notna().all())
    faces["bin"] = splitting.age_bins(ages, split.bin_years, split.min_bin) if has_ages else classes
    faces["split"] = splitting.assign(faces, shares, params.seed)

    missing = [name for name in tables.SPLITS if name not in set(faces["split"])]
    if missing:
        raise UserError(
            f"split: {len(faces)} faces in {faces['cluster'].nunique()} clusters leave no face for"
            f" {' and '.join(missing)}; add faces to data.source or raise split.{missing[0]}"
        )
    summary = {"kept_whole": split.clusters} | splitting.summary(faces, shares)
    tables.write_split(faces)
    write_json("reports/split.json", summary)
    for name in tables.SPLITS:
        share = (faces["split"] == name).mean()
        print(f"{name:5} {(faces['split'] == name).sum():6} faces, {share:.1%}")
    for reason in splitting.uneven(faces, shares):
        print(reason)


if __name__ == "__main__":
    run(main)
