"""What was measured under each protocol beside what was published: tables in Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from faceage.experiments.protocols import Protocol, Published

START, END = "<!-- results -->\n", "<!-- end of results -->"
NUMBERS = ("MAE, years", "within 5 years", "px", "folds", "minutes a fold")
COLUMNS = (
    *("protocol", "model", "MAE, years", "within 5 years"),
    *("pretraining", "px", "folds", "minutes a fold", "from"),
)
# Of the README.
FEWER_COLUMNS = ("protocol", "model", "MAE, years", "pretraining", "px", "folds", "minutes a fold")
Entries = Mapping[str, Mapping[str, Any]]
Cells = dict[str, str]


def table(
    protocols: Mapping[str, Protocol], entries: Entries, columns: Sequence[str] = COLUMNS
) -> str:
    """A row for each published figure, then one for each recipe that was measured.

    Parameters
    ----------
    protocols : by name
    entries : of benchmarks/protocols.json
    """
    edges = ("---:" if column in NUMBERS else "---" for column in columns)
    lines = [_line(columns), f"|{'|'.join(edges)}|"]
    for name, protocol in protocols.items():
        for cells in _rows(name, protocol, entries):
            lines.append(_line([cells.get(column, "") for column in columns]))
    return "\n".join(lines)


def replaced(page: str, table: str) -> str:
    """The page with the table in the place of the one that is in it."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return f"{before}{START}{table}\n{END}{after}"


def _rows(name: str, protocol: Protocol, entries: Entries) -> Iterator[Cells]:
    for figure in protocol.published:
        yield {"protocol": f"`{name}`"} | _published(figure)
    ours = [entry for entry in entries.values() if entry["protocol"] == name]
    for entry in ours:
        files = "".join(f", {file}" for file in entry["files"].values())
        yield {"protocol": f"`{name}`{files}"} | _measured(entry)
    if not ours and not protocol.required:
        yield {"protocol": f"`{name}`", "model": "ours", "MAE, years": "not measured"}


def _measured(entry: Mapping[str, Any]) -> Cells:
    mae, within = entry["summary"]["mae"], entry["summary"]["cs5"]
    there, of = len(entry["folds"]), entry["of"]
    minutes = [fold["minutes"] for fold in entry["folds"] if fold["minutes"] is not None]
    commits = dict.fromkeys(fold["commit"] for fold in entry["folds"])
    return {
        "model": f"ours: `{entry['recipe']}`, {entry['model']}",
        "MAE, years": f"**{_spread(mae['mean'], mae['sd'])}**",
        "within 5 years": _spread(
            100 * within["mean"], within["sd"] and 100 * within["sd"], digits=1, unit="%"
        ),
        "pretraining": entry["pretraining"],
        "px": str(entry["img_size"] or "the backbone's"),
        "folds": str(of) if there == of else f"{there} of {of}",
        "minutes a fold": f"{sum(minutes) / len(minutes):.1f}" if minutes else "",
        "from": "measured at " + ", ".join(commits),
    }


def _published(figure: Published) -> Cells:
    return {
        "model": figure.model,
        "MAE, years": _spread(figure.mae, figure.sd) + ("" if figure.certain else ", not certain"),
        "pretraining": figure.pretraining or "",
        "px": str(figure.img_size or ""),
        "from": f"[{figure.source.removeprefix('https://')}]({figure.source}): {figure.note}",
    }


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _spread(mean: float, sd: float | None, digits: int = 2, unit: str = "") -> str:
    return f"{mean:.{digits}f}{unit}" + ("" if sd is None else f" ± {sd:.{digits}f}{unit}")
