"""A pull request as one Markdown comment: whether it is better, what it changes, how that looks.

Tables, <details> and <img> with a width are all that is used: forges and editors show those.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from faceage.core.dotted import flatten
from faceage.evaluation.comparison import Comparison
from faceage.experiments.trees import FIGURES, Tree
from faceage.reporting import comparison_text
from faceage.reporting.labels import EN_DASH, MINUS, listed, plural
from faceage.reporting.metric_rows import with_previous
from faceage.reporting.previous import parameters
from faceage.reporting.results import METRICS, REPORTS

MEASURED = (METRICS, REPORTS / "cost.json")
ENDS = ("_low", "_high", ".low", ".high")  # of intervals
FIRST = "overview.png"  # the figure that is not folded away
WIDTH = 360  # pixels of a figure: two stand beside each other in a column of text
NOTHING = "None differs."
RIGHT = "--:"  # Markdown's mark for a column of numbers
ABSENT: Any = object()  # the value of a name that one side lacks


def comment(
    base: Tree, head: Tree, found: Comparison | str, *, images: str | None, report: str
) -> str:
    """The comment, the verdict first.

    Parameters
    ----------
    found : the paired comparison in which B is head, or why there can be none
    images : address of a figure, with {commit} and {path} in it, to show those that the two commits
        hold. Without it they are shown from the two folders, by relative paths; of a commit without
        a folder they are only named
    report : address of the report of head
    """
    return "\n\n".join(
        [
            _verdict(base, head, found),
            *_metrics(base, head),
            *_parameters(base, head),
            *_figures(base, head, images),
            *_lock(base.stages(), head.stages()),
            f"[Report of {head.label}]({report})",
        ]
    )


def _verdict(base: Tree, head: Tree, found: Comparison | str) -> str:
    if isinstance(found, str):
        return f"### {head.label} against {base.label}: no verdict\n\n{found}."
    verdict = comparison_text.verdict(base.label, head.label, found)
    return f"{verdict}\n\n{_folded('By subgroup', comparison_text.by_subgroup(found))}"


def _metrics(base: Tree, head: Tree) -> Iterator[str]:
    """What people read of the test set; every number that differs, folded away."""
    yield "#### Metrics"
    for tree in (base, head):
        if not tree.numbers(METRICS):
            yield f"{tree.label} has no `{METRICS}`."
            return
    then, now = (tree.numbers(METRICS)["test"] for tree in (base, head))
    rows = [
        (name, before, after, difference)
        for name, after, before, difference in with_previous(now, then)
        if after != before
    ]
    yield (
        _table("test set", "base", "head", "difference", rows=rows, align=RIGHT)
        if rows
        else NOTHING
    )
    numbers = [row for path in MEASURED for row in _numbers(base.numbers(path), head.numbers(path))]
    if numbers:
        files = listed([f"<code>{path}</code>" for path in MEASURED])
        table = _table("number", "base", "head", "difference", rows=numbers, align=RIGHT)
        yield _folded(f"All that differs in {files}", table)


def _numbers(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for name, before, after in _differing(dict(flatten(then)), dict(flatten(now))):
        if name.endswith(ENDS):
            continue
        both = all(isinstance(value, int | float) for value in (before, after))
        difference = f"{after - before:+.4g}".replace("-", MINUS) if both else ""
        yield f"`{name}`", _number(before), _number(after), difference


def _parameters(base: Tree, head: Tree) -> Iterator[str]:
    """Values that changed; names that one side lacks, as after a renaming, folded away."""
    yield "#### Parameters"
    then, now = (parameters(tree.stages()) for tree in (base, head))
    rows: dict[bool, list[Sequence[str]]] = {True: [], False: []}
    for name, before, after in _differing(then, now):
        in_both = name in then and name in now
        rows[in_both].append((f"`{name}`", _code(before), _code(after)))
    heads = "parameter", "base", "head"
    if rows[True]:
        yield _table(*heads, rows=rows[True])
    if rows[False]:
        count = plural(len(rows[False]), "parameters")
        yield _folded(f"{count} that one side lacks", _table(*heads, rows=rows[False]))
    if not any(rows.values()):
        yield NOTHING


def _figures(base: Tree, head: Tree, images: str | None) -> Iterator[str]:
    yield "#### Figures"
    sides = (base.committed(), head.committed()) if images else (base, head)
    then, now = (tree.figures() for tree in sides)
    changed = [name for name, _, _ in _differing(then, now)]
    changed.sort(key=lambda name: (name != FIRST, name))
    if not changed:
        yield NOTHING
    elif not images and base.folder is None:
        names = listed([f"`{name.removesuffix('.png')}`" for name in changed])
        yield f"These differ, and `--images` shows them: {names}."
    else:
        heads = f"before: {base.label}", f"after: {head.label}"
        rows = [
            (_image(sides[0], name, then, images), _image(sides[1], name, now, images))
            for name in changed
        ]
        yield _table(*heads, rows=rows[:1])
        if rows[1:]:
            table = _table(*heads, rows=rows[1:])
            yield _folded(plural(len(rows) - 1, "more figures"), table)
    redrawn = len(list(_differing(now, head.figures())))
    if redrawn:
        yield (
            f"Shown as committed; the run that is compared above draws {redrawn} of them otherwise:"
            " on another machine, or `dvc repro` was not run before the commit."
        )


def _image(tree: Tree, name: str, present: Iterable[str], images: str | None) -> str:
    """A figure in a cell of a table, or that this side has none of that name."""
    if name not in present:
        return f"no {name}"
    if images:
        path = (FIGURES / name).as_posix()
        source = images.replace("{commit}", tree.commit).replace("{path}", path)
    else:
        source = os.path.relpath((tree.folder or Path()) / FIGURES / name)
    return f'<img src="{source}" alt="{name}" width="{WIDTH}">'


def _lock(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Stages of which dvc.lock says another thing, and what of each."""
    yield "#### What dvc.lock says"
    changed = list(_differing(then, now))
    if changed:
        names = listed([f"<code>{name}</code>" for name, *_ in changed])
        rows = [(f"`{name}`", _stage(before, after)) for name, before, after in changed]
        yield _folded(f"Other than in the base: {names}", _table("stage", "differs in", rows=rows))
    same = [f"`{name}`" for name in now if now[name] == then.get(name)]
    if same:
        yield f"The same as in the base: {listed(same)}."


def _stage(before: Any, after: Any) -> str:
    """What differs of one stage, in a cell of a table."""
    if before is ABSENT or after is ABSENT:
        return "all: not in the base" if before is ABSENT else "all: in the base only"
    sides = before, after
    command = f"{_code(before['cmd'])} → {_code(after['cmd'])}"
    lines = {
        "command": command if before["cmd"] != after["cmd"] else "",
        "dependencies": _names(*(_by_path(side.get("deps", [])) for side in sides)),
        "parameters": _names(*(parameters({"stage": side}) for side in sides)),
        "results": _names(*(_by_path(side.get("outs", [])) for side in sides)),
    }
    return "<br>".join(f"{kind}: {found}" for kind, found in lines.items() if found)


def _by_path(files: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {file["path"]: file for file in files}


def _names(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Names of the items that differ, in Markdown."""
    marks = [
        f"`{name}`{' (new)' * (before is ABSENT)}{' (removed)' * (after is ABSENT)}"
        for name, before, after in _differing(then, now)
    ]
    return ", ".join(marks)


def _differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Name and both values of what is not the same: in the order of `now`, then what is gone."""
    for name in {**now, **then}:
        before, after = then.get(name, ABSENT), now.get(name, ABSENT)
        if before != after:
            yield name, before, after


def _table(*heads: str, rows: Iterable[Sequence[str]], align: str = "---") -> str:
    """A table; `align` is Markdown's mark for the columns after the first."""
    lines = [heads, ["---", *[align] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _folded(title: str, content: str) -> str:
    return f"<details>\n<summary>{title}</summary>\n\n{content}\n\n</details>"


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _code(value)
    return (f"{value:,}" if isinstance(value, int) else f"{value:,.6g}").replace("-", MINUS)


def _code(value: Any) -> str:
    """A value of params.yaml as code, in a cell of a table."""
    if value is ABSENT:
        return EN_DASH
    bare = isinstance(value, str) and value
    written = value if bare else json.dumps(value, ensure_ascii=False)
    fence = "``" if "`" in written else "`"
    return f"{fence}{written}{fence}".replace("|", r"\|").replace("\n", " ")
