"""Stage `split`: assign each face to train, val or test, those of a group always to the same part.

    python src/split.py

Reads  data/faces.parquet
Writes data/split.csv, reports/split.json
"""

from faceage import tables
from faceage.data import splitting
from faceage.outputs import write_json
from faceage.params import SplitParams, load
from faceage.stage import UserError, run


def main() -> None:
    """Bin the ages, assign whole groups, report how even the parts came out."""
    params = load(SplitParams)
    split = params.split
    shares = {part: getattr(split, part) for part in tables.PARTS}

    faces = tables.read_faces()
    faces["group"] = faces["face" if split.groups == "none" else f"{split.groups}_group"]
    ages, classes = faces["age"], faces["age_class"]
    has_ages = bool(ages.notna().all())
    faces["bin"] = splitting.age_bins(ages, split.bin_years, split.min_bin) if has_ages else classes
    faces["part"] = splitting.assign(faces, shares, params.seed)

    missing = [part for part in tables.PARTS if part not in set(faces["part"])]
    if missing:
        raise UserError(
            f"split: {len(faces)} faces in {faces['group'].nunique()} groups leave no face for"
            f" {' and '.join(missing)}; add faces to data.source or raise split.{missing[0]}"
        )
    summary = {"kept_whole": split.groups} | splitting.summary(faces, shares)
    tables.write_split(faces)
    write_json("reports/split.json", summary)
    for part in tables.PARTS:
        share = (faces["part"] == part).mean()
        print(f"{part:5} {(faces['part'] == part).sum():6} faces, {share:.1%}")
    for reason in splitting.uneven(faces, shares):
        print(reason)


if __name__ == "__main__":
    run(main)
