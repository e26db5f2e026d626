"""Stage `report`: draw what was measured, bind it into two self-contained pages and two cards.

    python src/report.py

Reads  what the stages before it wrote under reports/, models/model.json, data/faces.parquet,
       data/saliency.parquet, data/split.csv, data/rejected.csv, data/label_issues.csv, dvc.lock and
       the git history
Writes reports/figures/, reports/report.html, reports/age_checks.html (a page for people who check
       ages), reports/model_card.md, reports/data_card.md, reports/label_issues.csv (those of
       data/label_issues.csv to look at first); logs reports/ to MLflow
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

from faceage.core.outputs import atomic_folder, atomic_write, write_csv
from faceage.core.params import ReportParams, TrackingParams, load
from faceage.core.progress import bar
from faceage.core.script import run
from faceage.reporting import figures, gallery, page, results, themes
from faceage.tracking import runs

LISTED = 0.06  # share of the faces that reports/label_issues.csv names


def main() -> None:
    """Read, draw every figure in both themes, render the documents around them."""
    params = load(ReportParams)
    found = results.read()
    faces = gallery.choose(found)
    pictures = {}
    with atomic_folder("reports/figures") as folder:
        charts = figures.charts(found, params)
        if found.has_ages:
            charts |= figures.of_age_checks(found)
        for name, draw in bar(charts.items(), "figures", "figure"):
            pictures[name] = page.Picture(
                light=themes.png(draw, themes.LIGHT), dark=themes.png(draw, themes.DARK)
            )
            (folder / f"{name}.png").write_bytes(pictures[name].light)
        for name, draw in figures.sheets(found, faces).items():
            sheet = themes.png(draw, themes.LIGHT, photographs=True)
            (folder / f"{name}.png").write_bytes(sheet)
        if found.has_ages:
            overview = themes.png(figures.overview(found), themes.LIGHT)
            (folder / "overview.png").write_bytes(overview)
    with atomic_write("reports/report.html") as part:
        part.write_text(page.page(found, params, pictures, faces), encoding="utf-8")
    with atomic_write("reports/age_checks.html") as part:
        part.write_text(page.age_checks(found, params, pictures), encoding="utf-8")
    with atomic_write("reports/model_card.md") as part:
        part.write_text(page.model_card(found, params), encoding="utf-8")
    with atomic_write("reports/data_card.md") as part:
        part.write_text(page.data_card(found, params), encoding="utf-8")
    worst = found.label_issues.head(round(LISTED * len(found.label_issues)))
    write_csv("reports/label_issues.csv", worst)
    with runs.continue_run(load(TrackingParams).tracking, found.model["fingerprint"]) as tracked:
        tracked.log_file("reports", "reports")
    print("wrote reports/report.html, age_checks.html, model_card.md, data_card.md and figures/")


if __name__ == "__main__":
    run(main)
