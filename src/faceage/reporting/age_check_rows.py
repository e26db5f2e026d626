"""The tables of age checks as the page for people who check ages shows them, row by row."""

from functools import cached_property
from typing import Any

from faceage.reporting.labels import GROUPINGS, age_range, people
from faceage.reporting.results import Results

Row = dict[str, Any]
FALSE_POSITIVE, FALSE_NEGATIVE = "false_positive_rate", "false_negative_rate"


class AgeCheckRows:
    """Rows of rates (n, rate, low, high), those of the headline's legal age in detail."""

    def __init__(self, found: Results) -> None:
        self.tables = found.tables
        summary = found.metrics["age_checks"]
        self.legal_age = int(summary["legal_age"])
        self.challenge_age = int(summary["challenge_age"])

    @cached_property
    def legal_ages(self) -> list[int]:
        """All legal ages that were measured."""
        return [int(age) for age in self.tables["age_checks"]["legal_age"].unique()]

    def whom(self, legal_age: int) -> tuple[str, str, str]:
        """What those below the legal age, just below it, and of it are called in the tables."""
        table = self.tables["age_checks"]
        below, just_below, over = table.loc[table["legal_age"] == legal_age, "ages"].unique()
        return below, just_below, over

    def thresholds(self, legal_age: int) -> dict[int, list[Row]]:
        """Rates of those below, just below and of the legal age, by threshold."""
        table = self.tables["age_checks"]
        part = table[table["legal_age"] == legal_age]
        return {
            int(str(threshold)): rows.to_dict("records")
            for threshold, rows in part.groupby("threshold")
        }

    def single_ages(self) -> dict[str, list[Row]]:
        """False positive rates of the ages just below, at the legal and the challenge age."""
        return self._of_group("age", self.whom(self.legal_age)[1])

    def groups(self) -> dict[str, dict[str, list[Row]]]:
        """False positive rates of subgroups by grouping: at the legal and the challenge age.

        Each of all below the legal age, then of those just below it.
        """
        below, just_below, _ = self.whom(self.legal_age)
        found = {}
        for grouping, name in GROUPINGS.items():
            every, near = (self._of_group(grouping, ages) for ages in (below, just_below))
            if every:
                found[name] = {
                    people(grouping, subgroup): [*rows, *near[subgroup]]
                    for subgroup, rows in every.items()
                }
        return found

    def ratios(self) -> list[Row]:
        """False positive rate of the worst subgroup over that of the best."""
        table = self.tables["false_positive_ratios"]
        if table.empty:
            return []
        part = table[table["legal_age"] == self.legal_age]
        return [row | {"name": GROUPINGS[row["grouping"]]} for row in part.to_dict("records")]

    def chosen(self, legal_age: int) -> dict[float, dict[str, Row]]:
        """Rates at the threshold chosen for each target, by whom they are of."""
        table = self.tables["challenge_ages"]
        if table.empty:
            return {}
        part = table[table["legal_age"] == legal_age]
        return {
            float(str(target)): {row["ages"]: row for row in rows.to_dict("records")}
            for target, rows in part.groupby("target")
        }

    def children(self) -> dict[str, list[Row]]:
        """Where children of 13 to 16, younger and older people are estimated."""
        table = self.tables["child_safety"]
        return {
            str(ages): rows.to_dict("records") for ages, rows in table.groupby("ages", sort=False)
        }

    def both_sides(self) -> dict[str, dict[int, list[Row]]]:
        """Who falls on both sides of a threshold, of all and of close calls, by how seen."""
        table = self.tables["both_sides"]
        if table.empty:
            return {}
        table = table.drop_duplicates(["seen", "threshold", "ages"])
        return {
            str(seen): {
                int(str(threshold)): rows.to_dict("records")
                for threshold, rows in part.groupby("threshold")
            }
            for seen, part in table.groupby("seen", sort=False)
        }

    def small_changes(self) -> list[Row]:
        """What each small change does to the estimate."""
        return self.tables["small_changes"].to_dict("records")

    def not_found(self) -> list[Row]:
        """Faces that the detector does not find, by group."""
        rows = self.tables["failure_to_acquire"].to_dict("records")
        return [row | {"name": _name(row["grouping"], row["subgroup"])} for row in rows]

    def _of_group(self, grouping: str, ages: str) -> dict[str, list[Row]]:
        table = self.tables["false_positives"]
        part = table[
            (table["legal_age"] == self.legal_age)
            & (table["grouping"] == grouping)
            & (table["ages"] == ages)
        ]
        return {
            str(subgroup): rows.sort_values("threshold").to_dict("records")
            for subgroup, rows in part.groupby("subgroup", sort=False)
        }


def _name(grouping: str, subgroup: str) -> str:
    if grouping == "age":
        return f"age {age_range(subgroup)}"
    return subgroup if grouping == "all" else people(grouping, subgroup)
