"""A comparison of two runs as Markdown, for a pull request."""

from collections.abc import Iterator

from faceage.evaluation.bootstrap import LEVEL
from faceage.evaluation.comparison import NOT_SHOWN, TOO_FEW, Comparison, Difference
from faceage.reporting.labels import MINUS, age_range, plural, signed

GROUPINGS = {"gender": "gender", "race": "ethnicity", "decade": "decade", "age_group": "age group"}
VERDICTS = {
    NOT_SHOWN: "the interval holds 0, so no difference is shown",
    TOO_FEW: "too few faces for a verdict",
}


def markdown(a: str, b: str, comparison: Comparison) -> str:
    """Verdict in a sentence, a table by subgroup, and what a reader has to know about both.

    Parameters
    ----------
    a, b : what the runs are called, in Markdown
    """
    return f"{verdict(a, b, comparison)}\n\n{by_subgroup(comparison)}"


def verdict(a: str, b: str, comparison: Comparison) -> str:
    """The verdict over all faces, as a heading and a paragraph."""
    overall = comparison.overall
    found = VERDICTS.get(overall.verdict, f"B is {overall.verdict}")
    return (
        f"### {b} against {a}: {overall.verdict}\n\n"
        f"Mean absolute error (MAE) on {plural(overall.n, 'test faces')} that both runs have:"
        f" {overall.mae_a:.2f} years in A, {a}; {overall.mae_b:.2f} in B, {b}. The difference"
        f" is **{signed(overall.difference, 2)} years** ({LEVEL:.0%} interval"
        f" {_interval(overall)}): **{found}**."
    )


def by_subgroup(comparison: Comparison) -> str:
    """Table of the differences, of all faces and by subgroup, and notes on how to read it."""
    return "\n".join(
        [
            f"| | faces | MAE of A | MAE of B | B {MINUS} A | {LEVEL:.0%} interval | verdict |",
            "|---|--:|--:|--:|--:|:-:|---|",
            _row("**all**", comparison.overall),
            *(_row(_name(*name), subgroup) for name, subgroup in comparison.subgroups.items()),
            "",
            *(f"- {note}" for note in _notes(comparison)),
        ]
    )


def _row(name: str, found: Difference) -> str:
    return (
        f"| {name} | {found.n:,} | {found.mae_a:.2f} | {found.mae_b:.2f} |"
        f" {signed(found.difference, 2)} | {_interval(found)} | {found.verdict} |"
    )


def _name(grouping: str, subgroup: str) -> str:
    shown = age_range(subgroup) if grouping == "decade" else subgroup
    return f"{GROUPINGS[grouping]}: {shown}".replace("|", r"\|")


def _interval(found: Difference) -> str:
    return f"{signed(found.low, 2)} to {signed(found.high, 2)}"


def _notes(comparison: Comparison) -> Iterator[str]:
    if not comparison.n_a == comparison.n_b == comparison.shared:
        yield (
            f"**The test sets differ**: {comparison.shared:,} faces shared, of"
            f" {comparison.n_a:,} of A and {comparison.n_b:,} of B."
        )
    if comparison.conflicting:
        yield (
            f"**The data differ**: {plural(comparison.conflicting, 'shared faces')} with another"
            " true age in B than in A, left out."
        )
    if comparison.relabelled:
        yield (
            f"**The data differ**: {plural(comparison.relabelled, 'faces')} with another gender or"
            " ethnicity in B than in A, counted as in B."
        )
    yield "All in years; negative differences are in favour of B."
    if comparison.clustered:
        yield (
            "Intervals: paired bootstrap over"
            f" {plural(comparison.overall.clusters, 'clusters')} of the same picture or person."
        )
    else:
        yield (
            "Intervals: paired bootstrap over faces. **Neither run's predictions.csv has the column"
            " `cluster`, so each face counts as its own cluster of near-duplicates**, and intervals"
            " come out too narrow where there are near-duplicates."
        )
    judged = sum(subgroup.enough for subgroup in comparison.subgroups.values())
    if judged:
        yield (
            f"The rows of subgroups are not corrected for multiple comparisons: of {judged} with a"
            f" verdict, {(1 - LEVEL) * judged:.1f} would on average be called better or worse by"
            " chance if none differed."
        )
