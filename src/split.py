"""Stage `split`: assign each face to train, val or test, by drawing or as a published file says.

    python src/split.py

Reads  data/faces.parquet, split.source (the same, or a CSV)
Writes data/split.csv, reports/split.json
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

from pathlib import Path

import pandas as pd

from faceage.core import tables
from faceage.core.outputs import write_json
from faceage.core.params import SplitParams, load
from faceage.core.script import UserError, run
from faceage.data import published_split, splitting


def main() -> None:
    """Bin the ages, draw or look up the split, report how even it is and what leaks."""
    params = load(SplitParams)
    split = params.split
    faces = tables.read_faces()
    ages, classes = faces["age"], faces["age_class"]
    has_ages = bool(ages.notna().all())
    faces["bin"] = splitting.age_bins(ages, split.bin_years, split.min_bin) if has_ages else classes

    drawn = Path(split.source) == tables.FACES
    faces["drawn"] = True
    if drawn:
        shares = {name: getattr(split, name) for name in tables.SPLITS}
        faces["cluster"] = splitting.cluster_names(faces, split.clusters)
        strata = faces["bin"] if split.stratify else "all"
        faces["split"] = splitting.fixed(faces, tables.SPLITS)
        faces["drawn"] = faces["split"].isna()
        to_draw = faces.assign(bin=strata)[faces["drawn"]]
        faces.loc[faces["drawn"], "split"] = splitting.assign(to_draw, shares, params.seed)
    elif faces["fixed_split"].notna().any():
        raise UserError(
            f"split.source: {split.source} says where each face goes, and so does data.sources; set"
            " the split of each source there to null"
        )
    else:
        faces["split"] = published_split.look_up(Path(split.source), faces)
        shares = {name: float((faces["split"] == name).mean()) for name in tables.SPLITS}

    missing = [name for name in tables.SPLITS if name not in set(faces["split"])]
    if missing and drawn:
        raise UserError(
            f"split: {len(faces)} faces in {faces['cluster'].nunique()} clusters leave no face for"
            f" {' and '.join(missing)}; add faces to data.source or raise split.{missing[0]}"
        )
    if missing:
        raise UserError(
            f"split.source: {split.source} has no face for {' and '.join(missing)}; all of"
            f" {', '.join(tables.SPLITS)} are needed, so turn some rows of another part into it"
        )

    for name in ("val", "test"):
        refuse_bands_only(faces[faces["split"] == name], name)

    leaks = splitting.leaks(faces)
    kept_whole = split.clusters if drawn else splitting.kept_whole(leaks)
    faces["cluster"] = splitting.cluster_names(faces, kept_whole)
    fixed = splitting.count_fixed(faces)
    dealt = "stratified" if split.stratify else "random"
    summary = {"source": split.source, "dealt": dealt if drawn else "published"}
    summary |= {"kept_whole": kept_whole}
    summary |= splitting.summary(faces, shares) | {"leaks": leaks, "fixed": fixed}
    tables.write_split(faces)
    write_json("reports/split.json", summary)
    for name in tables.SPLITS:
        share = (faces["split"] == name).mean()
        print(f"{name:5} {(faces['split'] == name).sum():6} faces, {share:.1%}")
    if fixed["faces"]:
        print(
            f"{fixed['faces']} faces have a fixed split: {fixed['joined']} others went with them,"
            f" {fixed['moved']} were moved from it to stay with their cluster"
        )
    uneven = splitting.uneven(faces[faces["drawn"]], shares)
    for line in [*uneven, *splitting.leaks_in_words(leaks)]:
        print(line)


def refuse_bands_only(faces: pd.DataFrame, name: str) -> None:
    """Raise `UserError` if faces have ages, but none an exact one: nothing is measured in years."""
    if (faces["age_low"] < faces["age_high"]).all():
        raise UserError(
            f"split: all {len(faces)} faces in {name} are labelled with bands of ages, and its"
            " metrics are of exact ages; add a source of exact ages to data.sources, and to measure"
            " on bands name their source in `external`"
        )


if __name__ == "__main__":
    run(main)
