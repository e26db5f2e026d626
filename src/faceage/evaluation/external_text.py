"""What a model's metrics on another source say, in lines for the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any


def in_words(found: Mapping[str, Any]) -> str:
    """Show the content of reports/external/NAME.json."""
    lines = [f"\n{found['source']}: {found['n']:,} faces measured", ""]
    lines += [f"  {count:7} {reason}" for reason, count in found["rejected"].items()]
    if found["shared"] is None:
        lines.append("  not known: faces shared with training, whose data are not here")
    else:
        shared = found["shared"]
        lines.append(
            f"  left out as shared with training: {shared['exact']} identical, {shared['near']}"
            " near-duplicates"
        )
    lines += ["", *_metrics(found)]
    if home := found.get("against_home"):
        lines.append(
            f"  MAE at home {home['mae_home']:.2f}, so {home['difference']:+.2f} years there"
            f" ({home['difference_low']:+.2f} to {home['difference_high']:+.2f}); with the ages of"
            f" home {home['mae_standardised']:.2f}"
        )
    if home := found.get("bands_against_home"):
        lines.append(
            f"  distance at home {home['distance']:.2f}, so {home['distance_difference']:+.2f}"
            f" there ({home['distance_difference_low']:+.2f} to"
            f" {home['distance_difference_high']:+.2f}); with the ages of home"
            f" {home['distance_standardised']:.2f}"
        )
    if again := found.get("recalibrated"):
        lines += ["", f"  of the others, with {again['faces']} faces taken to learn from:"]
        lines += [f"  before{line}" for line in _metrics(again["before"])]
        lines += [f"  after {line}" for line in _metrics(again["after"])]
    return "\n".join(lines)


def _metrics(found: Mapping[str, Any]) -> Iterator[str]:
    if ages := found.get("ages"):
        yield (
            f"  MAE {ages['mae']:.2f} years ({ages['mae_low']:.2f} to {ages['mae_high']:.2f}), bias"
            f" {ages['bias']:+.2f}, within 5 years {ages['cs5']:.1%} (n = {ages['n']:,})"
        )
        for row in ages["decades"]:
            yield (
                f"    {row['decade']}  MAE {row['mae']:5.1f}  bias {row['bias']:+6.1f}"
                f"  n = {row['n']:,}"
            )
    if bands := found.get("bands"):
        yield (
            f"  right band {bands['in_band']:.1%} ({bands['in_band_low']:.1%} to"
            f" {bands['in_band_high']:.1%}), within one band {bands['within_one_band']:.1%},"
            f" {bands['distance']:.2f} years from it on average (n = {bands['n']:,})"
        )
        for row in bands["by_band"]:
            yield (
                f"    {row['age_low']:3.0f} to {row['age_high']:3.0f}  right {row['in_band']:4.0%}"
                f"  distance {row['distance']:5.1f}  bias {row['bias']:+6.1f}  n = {row['n']:,}"
            )
    intervals = found.get("intervals", {})
    if intervals.get("coverage") is not None:
        yield (
            f"  intervals hold {intervals['coverage']:.1%} of the labels, mean width"
            f" {intervals['mean_width']:.1f} years"
        )
