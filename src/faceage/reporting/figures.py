"""Which figures the report has: their names, and what each of them is drawn from."""

from collections.abc import Callable
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from faceage.core.params import ReportParams
from faceage.core.utkface import GENDERS, RACES
from faceage.reporting import elsewhere, gallery
from faceage.reporting.charts import (
    age_checks,
    ages,
    matrices,
    people,
    reliability,
    training,
)
from faceage.reporting.charts.elsewhere import errors_by_age
from faceage.reporting.labels import classes, plural
from faceage.reporting.results import Results
from faceage.reporting.themes import Theme

Draw = Callable[[Theme], Figure]


def charts(found: Results, params: ReportParams) -> dict[str, Draw]:
    """The figures of the page, each drawn in both themes."""
    sizes = {name: len(part) for name, part in found.splits.items()}
    drawn: dict[str, Draw] = {
        "history": partial(training.history, found.history, found.monitor, sizes),
    }
    if found.has_people:
        crossed = found.gender_and_ethnicity()
        drawn["people"] = partial(people.gender_and_ethnicity, crossed, found.faces)
    for name, counted in found.confusions(params.groupings).items():
        drawn[f"confusion_{name}"] = partial(
            matrices.confusion, counted, classes(name), found.test_faces
        )
    return drawn | _of_ages(found, params.evaluate.coverage) if found.has_ages else drawn


def _of_ages(found: Results, coverage: float) -> dict[str, Draw]:
    """Those that need ages."""
    faces, test, tables = found.faces, found.test_faces, found.tables
    mae = found.metrics["test"]["mae"]
    checks = tables["age_checks"]
    checks = checks[checks["legal_age"] == found.metrics["age_checks"]["legal_age"]]
    parts = {name: part["age"] for name, part in found.splits.items()}
    by_subgroup = _ages_by_subgroup(found.people)
    drawn: dict[str, Draw] = {
        "ages_by_split": partial(people.ages_by_split, parts, faces),
        "ages_by_subgroup": partial(people.ages_by_subgroup, by_subgroup, faces),
        "scatter": partial(ages.scatter, found.predictions, test),
        "error_by_age": partial(ages.error_by_age, tables["decades"], mae, test),
        "subgroups": partial(reliability.subgroups, tables["subgroups"], mae, test),
        "age_checks": partial(age_checks.error_rates, checks, tables["single_ages"], test),
        "coverage": partial(reliability.coverage, tables["coverage"], coverage, test),
        "robustness": partial(reliability.robustness, tables["robustness"], test),
    }
    if found.external:
        drawn["elsewhere"] = partial(errors_by_age, _elsewhere(found), test)
    if len(tables["distribution"]):
        drawn["distribution"] = partial(reliability.distribution, tables["distribution"], test)
    return drawn


def of_age_checks(found: Results) -> dict[str, Draw]:
    """Those of the page for people who check ages, besides `age_checks`."""
    test, tables = found.test_faces, found.tables
    legal_age = found.metrics["age_checks"]["legal_age"]
    positives = tables["false_positives"]
    whom = positives["ages"].eq(f"under {legal_age}") | positives["grouping"].eq("age")
    groups = positives[whom & positives["legal_age"].eq(legal_age)]
    drawn: dict[str, Draw] = {
        "legal_ages": partial(age_checks.legal_ages, tables["age_checks"], test),
        "false_positives": partial(age_checks.false_positives, groups, test),
    }
    chosen = tables["challenge_ages"]
    if len(chosen) and chosen["legal_age"].eq(legal_age).any():
        price = chosen[chosen["legal_age"] == legal_age]
        drawn["challenge_ages"] = partial(age_checks.challenge_ages, price, test)
    return drawn


def overview(found: Results) -> Draw:
    """The figure at the head of the README."""
    return partial(ages.overview, found.predictions, found.history, found.test_faces)


def sheets(found: Results, faces: gallery.Gallery) -> dict[str, Draw]:
    """Contact sheets: figures made of photographs, which the page shows one by one."""
    test = found.test_faces
    titles = {
        "samples": "Samples of the data, from young to old",
        "label_issues": "Label issues, against out-of-fold predictions in years",
        "outliers": "Faces furthest from the others in the feature space",
        "worst": "Largest errors: true → predicted age in years",
        "typical": "Typical errors: true → predicted age in years",
    }
    shown = {name: getattr(faces, name) for name in titles if getattr(faces, name)}
    drawn: dict[str, Draw] = {
        name: partial(
            gallery.sheet, chosen, f"{titles[name]} (n = {plural(len(chosen), found.faces)})"
        )
        for name, chosen in shown.items()
    }
    explained = [face for pairs in faces.saliency.values() for face in pairs]
    if explained:
        title = f"Where the network looked (n = {plural(len(explained) // 2, test)})"
        drawn["saliency"] = partial(gallery.sheet, explained, title)
    return drawn


def _elsewhere(found: Results) -> dict[str, pd.DataFrame]:
    """Errors by age of each source elsewhere; one that has ages and bands comes twice."""
    names = ("{}", "{}, bands")
    return {
        names[place].format(name): table
        for name, content in found.external.items()
        for place, table in enumerate(elsewhere.by_age(content, found.tables["decades"]))
    }


def _ages_by_subgroup(faces: pd.DataFrame) -> dict[str, pd.Series]:
    """Ages of all faces, of each gender and of each ethnicity that occurs."""
    subgroups = {"all": faces["age"]}
    for label, names in {"gender": GENDERS, "race": RACES}.items():
        parts = {name: faces.loc[faces[label] == name, "age"] for name in names}
        subgroups |= {name: part for name, part in parts.items() if len(part)}
    return subgroups
