"""What the data of a run cannot support, said plainly and each where it matters."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from faceage.core.settings import Evaluate
from faceage.reporting.labels import NOT_GIVEN, age_range, listed, plural
from faceage.reporting.results import Results

LABELS = {"gender": "gender", "race": "ethnicity"}


@dataclass(frozen=True)
class Limit:
    """A sentence or two, and the chapter of the report that it belongs to."""

    chapter: str
    text: str


def of(found: Results, settings: Evaluate) -> list[Limit]:
    """All limits that apply, in the order of the report's chapters."""
    few = settings.min_subgroup
    if not found.has_ages:
        return [*_of_classes(), *_of_labels(found), *_of_training(found)]
    return [
        *_of_size(found),
        *_of_labels(found),
        *_of_training(found),
        *_of_ages(found, few),
        *_of_people(found, few),
        *_of_age_checks(found, few),
        *_of_intervals(found),
    ]


def _of_size(found: Results) -> Iterator[Limit]:
    if len(found.predictions) == 1:
        yield Limit(
            "comparison",
            "The test set has a single face: its numbers say nothing in general, and intervals"
            " and R² have no meaning.",
        )


def _of_classes() -> Iterator[Limit]:
    yield Limit(
        "data",
        "The source gives classes and no ages: no error in years is known, nor errors by age, age"
        " checks, prediction intervals or robustness.",
    )


def _of_labels(found: Results) -> Iterator[Limit]:
    if not found.synthetic:
        yield Limit(
            "data",
            "The labels are not verified. Those of UTKFace were estimated by a model (DEX) and"
            " checked by an annotator: no birth date stands behind an age, and gender and ethnicity"
            " are how somebody was seen. An error of the labels counts as an error of the model.",
        )


def _of_training(found: Results) -> Iterator[Limit]:
    if len(found.history) == 1:
        yield Limit("training", "Training ran for one epoch: the curves are single points.")


def _of_ages(found: Results, few: int) -> Iterator[Limit]:
    oldest = int(found.predictions["age"].max())
    if oldest <= 60:
        yield Limit(
            "ages",
            f"No test face is over 60 (the oldest is {oldest}): nothing is known about older ones.",
        )
    else:
        over = found.metrics["older"]["over_80"]["n"]
        if over == 0:
            yield Limit("ages", "No test face is 80 or older: nothing is known about that age.")
        elif over < few:
            yield Limit(
                "ages",
                f"Only {plural(over, 'test faces')} of 80 or older: too few for a claim about that"
                " age.",
            )
    decades = found.tables["decades"]
    small = decades[decades["n"] < few]
    if len(small):
        names = listed([age_range(name) for name in small["decade"]])
        yield Limit(
            "ages", f"Fewer than {few} test faces of {names} years: the bands there are wide."
        )


def _of_people(found: Results, few: int) -> Iterator[Limit]:
    for grouping, label in LABELS.items():
        given = found.predictions[grouping]
        names = sorted(set(given) - {""})
        missing = int((given == "").sum())
        if not names:
            yield Limit(
                "subgroups",
                f"No test face has a label of {label}: errors by {label} are not known.",
            )
            continue
        if len(names) == 1:
            yield Limit(
                "subgroups",
                f"All test faces with a label of {label} are {names[0]}: nothing can be compared.",
            )
        if missing:
            have = "has" if missing == 1 else "have"
            yield Limit("subgroups", f"{plural(missing, 'test faces')} {have} no label of {label}.")
    subgroups = found.tables["subgroups"]
    given = ~subgroups["subgroup"].str.contains(NOT_GIVEN)
    small = subgroups[given & ~subgroups["enough"]]
    if len(small):
        names = [_with_count(subgroup) for _, subgroup in small.iterrows()]
        yield Limit(
            "subgroups",
            f"Fewer than {few} test faces: {'; '.join(names)}. They are shown, paler, but not"
            " compared.",
        )


def _with_count(subgroup: pd.Series) -> str:
    return f"{subgroup['subgroup']} ({subgroup['n']})"


def _of_age_checks(found: Results, few: int) -> Iterator[Limit]:
    checks = found.metrics["age_checks"]
    legal_age = checks["legal_age"]
    who = {
        "false_positive_rate": f"under {legal_age}",
        "false_positive_rate_just_below": f"of the 5 years under {legal_age}",
        "false_negative_rate": f"of {legal_age} or over",
    }
    for key, ages in who.items():
        count = checks[key]["n"]
        if count == 0:
            yield Limit(
                "age_checks",
                f"No test face is {ages}: how often an age check errs on them is not known.",
            )
        elif count < few:
            yield Limit(
                "age_checks",
                f"Only {plural(count, 'test faces')} {ages}: too few for a rate of errors.",
            )
    single_ages = found.tables["single_ages"]
    missing = single_ages[(single_ages["n"] == 0) & (single_ages["gender"] == "all")]["age"]
    if len(missing):
        years = listed([str(age) for age in missing], "or")
        yield Limit("age_checks", f"No test face is {years} years old.")


def _of_intervals(found: Results) -> Iterator[Limit]:
    for method, what in {"plain": "No interval", "by_age": "No interval by age"}.items():
        if found.metrics["intervals"][method]["coverage"] is None:
            faces = plural(found.calibration["n"], "validation faces")
            yield Limit("intervals", f"{what} could be made from {faces}: too few.")
