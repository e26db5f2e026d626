"""Stage `report`: draw what was measured and bind it into one self-contained page.

    python src/report.py

Reads  reports/{ingest,split,metrics}.json, reports/{history,predictions,decades}.csv,
       models/model.json, data/faces.parquet, data/split.csv, data/rejected.csv
Writes reports/figures/, reports/report.html
"""

from functools import partial

from faceage import figures, gallery, page, results, themes, tracking
from faceage.outputs import whole_file, whole_folder
from faceage.params import ReportParams, load
from faceage.progress import bar
from faceage.stage import run


def main() -> None:
    """Read, draw every figure in both themes, render the page around them."""
    params = load(ReportParams)
    found = results.read()
    misses = gallery.worst(found.predictions)
    mae = found.metrics["test"]["mae"]
    sizes = {part: len(table) for part, table in found.parts.items()}
    ages = {part: table["age"] for part, table in found.parts.items()}
    faces = found.test_faces

    by_decade, by_group = found.confusion_by_decade(), found.confusion_by_group()
    on_the_page = {
        "ages_by_split": partial(figures.ages_by_split, ages, found.faces),
        "history": partial(figures.history, found.history, sizes),
        "scatter": partial(figures.scatter, found.predictions, faces),
        "error_by_age": partial(figures.error_by_age, found.decades, mae, faces),
        "confusion_decade": partial(figures.confusion, by_decade, "decade", faces),
        "confusion_group": partial(figures.confusion, by_group, "age group", faces),
    }
    files_only = {
        "worst": partial(gallery.sheet, misses, faces),
        "overview": partial(figures.overview, found.predictions, found.history, faces),
    }
    pictures = {}
    with whole_folder("reports/figures") as folder:
        for name, draw in bar((on_the_page | files_only).items(), "figures", "figure"):
            light = themes.png(draw, themes.LIGHT, photographs=name == "worst")
            (folder / f"{name}.png").write_bytes(light)
            if name in on_the_page:
                pictures[name] = page.Picture(light, themes.png(draw, themes.DARK))
    with whole_file("reports/report.html") as part:
        part.write_text(page.render(found, pictures, misses), encoding="utf-8")
    with tracking.continue_run(params.tracking, found.model["fingerprint"]) as tracked:
        tracked.log_file("reports", "reports")
    print("wrote reports/report.html and reports/figures/")


if __name__ == "__main__":
    run(main)
