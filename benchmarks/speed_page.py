"""The page benchmarks/speed.md, from what speed.py has measured."""

from collections.abc import Callable, Iterable, Sequence

from speed_work import Found

HEAD = """# Speed and memory

```
make bench UTKFACE=UTKFace.tar WEIGHTS=tf_efficientnet_lite0.safetensors
python benchmarks/speed.py UTKFace.tar tf_efficientnet_lite0.safetensors growth
python benchmarks/speed.py UTKFace.tar tf_efficientnet_lite0.safetensors accuracy \\
    --ours FOLDER --usual usual.csv     # whole trainings, see accuracy.md
```

The recipe `faceage` on UTKFace; where the time to an error of 5 years is compared, `faceage-fast`,
whose aim that is. What is compared is measured in turns in one run, every other round
backwards; a ratio is the median of the rounds' ratios, with the smallest and the largest. Made from
[speed.json](speed.json) by the commands above; parts not listed were not measured yet.
"""
GAINS = {
    "channels_last": "channels last, against contiguous tensors; used",
    "threads": "{threads} threads, against one; used",
    "bfloat16": "bfloat16 but for depthwise convolutions, against float32; used, `precision: auto`",
    "compile": "`torch.compile`, against eager; not used",
}
USES = {
    "as_used": "as each is used, ours with the mirror image",
    "single_views": "on single views, both",
}
Lines = Iterable[Sequence[str]]


def page(results: Found) -> str:
    """All chapters whose part has been measured."""
    chapters = [HEAD]
    for name, chapter in CHAPTERS.items():
        if name in results:
            about = results[name]["measured"]
            note = f"{about['machine']}; {about['minutes']:.1f} minutes."
            chapters.append(f"{chapter(results[name]).strip()}\n\n{note}\n")
    return "\n".join(chapters)


def memory(found: Found) -> str:
    """Largest memory of train."""
    rows = [
        (what, f"{found[key]['peak']:.2f}", f"{found[key]['anonymous']:.2f}", wanted)
        for key, what, wanted in (
            ("in_memory", "pixels in memory", "3"),
            ("mapped", "pixels in a file that the system pages in", "1.5"),
        )
    ]
    return "## Memory of `train`\n\n" + table(
        ("", "largest resident memory, GB", "of it no file's, GB", "wanted, at most"), rows
    )


def startup(found: Found) -> str:
    """What one waits for."""
    repro, slowest = found["repro"], found["help"]
    rows = [
        ("`train`, to the end of its first step", f"{found['first_step']:.1f}", "12"),
        (
            f"`--help`, the slowest: {slowest['script']}",
            f"{slowest['seconds']:.2f}",
            "1",
        ),
        (
            "`dvc repro`, nothing to do",
            f"{repro:.1f}" if repro else "not measured: something had changed",
            "3",
        ),
    ]
    return "## Start\n\n" + table(("", "seconds, median of five", "wanted, at most"), rows)


def of_inputs(found: Found) -> str:
    """Share of the input."""
    share = found["share"]
    shown = f"{share['ratio']:.1%} ({share['smallest']:.1%} to {share['largest']:.1%})"
    rows = [("input: taken from memory, augmented, normalised", shown, "3%")]
    return "## Input\n\n" + table(("", "share of a step", "wanted, at most"), rows)


def gains(found: Found) -> str:
    """What makes a step faster."""
    rows = [
        (what.format(threads=found["threads_used"]), interval(found[name]))
        for name, what in GAINS.items()
        if name in found
    ]
    return "## What makes a step faster, each alone\n\n" + table(("", "times as fast"), rows)


def profile(found: Found) -> str:
    """Where the time goes."""
    rows = [(f"`{kind}`", f"{share:.1%}") for kind, share in found["shares"].items()]
    return "## Profile of a step\n\n" + table(("operation", "share of the time"), rows)


def accuracy(found: Found) -> str:
    """Against the usual script."""
    epoch = found["epoch_seconds"]
    rows = [
        ("a step, measured", interval(found["step"]), ""),
        (
            f"an epoch, from steps and validation: {epoch['usual']:.0f} s against"
            f" {epoch['ours']:.0f} s",
            f"{found['epoch']:.2f}",
            "",
        ),
    ]
    note = "The time to a validation MAE of 5.0 was not measured: no whole trainings were given."
    if "to_wanted" in found:
        rows += [to_wanted(each, how) for how, each in found["to_wanted"].items()]
        note = (
            "In brackets the MAE of a whole training of so many epochs: of those that got there the"
            " shortest, else the longest. An epoch's time is inferred from steps and validation."
        )
    return (
        "## Against [the usual script](usual_script.py)\n\n"
        + table(("", "times as fast", "wanted, at least"), rows)
        + f"\n\n{note}"
    )


def to_wanted(found: Found, how: str) -> tuple[str, str, str]:
    """A row: the trainings that ended at an MAE of 5.0."""
    usual, ours = (
        f"{found[whose]['epochs']} epochs ({found[whose][how]:.2f})" for whose in ("usual", "ours")
    )
    exceeded = "" if found["usual"]["reached"] else "over "
    ratio = f"{exceeded}{found['ratio']:.2f}" if found["ratio"] else "not reached"
    return f"to a validation MAE of 5.0, {USES[how]}: {usual} against {ours}", ratio, "2.5"


def evaluate(found: Found) -> str:
    """Seconds of evaluate."""
    rows = [
        ("all without robustness, in forward passes", f"{found['without_robustness']:.2f}", "1.3"),
        ("forward passes without robustness, seconds", f"{found['passes']:.0f}", ""),
        ("robustness, 1,000 faces, seconds", f"{found['robustness']:.0f}", "60"),
    ]
    return "## `evaluate`\n\nOne run.\n\n" + table(("", "", "wanted, at most"), rows)


def growth(found: Found) -> str:
    """From UTKFace to 16 times as many."""
    columns = [f"{row['images']:,} images" for key, row in found.items() if key != "measured"]
    rows = [
        (
            f"`{name}`" if name != "search" else "near-duplicates alone",
            *(
                f"{row[name]['seconds']:.0f} s, {row[name]['peak']:.2f} GB,"
                f" {row[name]['over_linear']:.2f}"
                for key, row in found.items()
                if key != "measured"
            ),
        )
        for name in ("ingest", "split", "search")
    ]
    return (
        "## Growth\n\nSeconds, largest memory, and time over what linear growth from the first"
        " column would take (wanted: at most 1.15; all of the last column in 600 s and 4 GB)."
        " One run.\n\n" + table(("", *columns), rows)
    )


CHAPTERS: dict[str, Callable[[Found], str]] = {
    "memory": memory,
    "startup": startup,
    "input": of_inputs,
    "gains": gains,
    "profile": profile,
    "accuracy": accuracy,
    "evaluate": evaluate,
    "growth": growth,
}


def interval(found: Found) -> str:
    """Median of the ratios, the smallest and the largest."""
    return f"{found['ratio']:.2f} ({found['smallest']:.2f} to {found['largest']:.2f})"


def table(head: Sequence[str], lines: Lines) -> str:
    """As Markdown."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))
