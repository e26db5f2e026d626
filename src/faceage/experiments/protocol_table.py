"""What was measured under each protocol beside what was published: the table in Markdown."""

from collections.abc import Mapping
from typing import Any

from faceage.experiments.protocols import Protocol, Published

START, END = "<!-- results -->\n", "<!-- end of results -->"
HEAD = (
    "| protocol | model | MAE, years | within 5 years | pretraining | px | folds | minutes a fold"
    " | from |\n|---|---|---:|---:|---|---:|---:|---:|---|"
)


def table(protocols: Mapping[str, Protocol], entries: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each published figure, then one for each recipe that was measured.

    Parameters
    ----------
    protocols : by name
    entries : of benchmarks/protocols.json
    """
    lines = [HEAD]
    for name, protocol in protocols.items():
        ours = [_measured(entry) for entry in entries.values() if entry["protocol"] == name]
        nothing = [f"`{name}`", "ours", "not measured", *[""] * 6]
        rows = [*(_published(name, figure) for figure in protocol.published), *(ours or [nothing])]
        lines += ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join(lines)


def replaced(page: str, table: str) -> str:
    """The page with the table in the place of the one that is in it."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return f"{before}{START}{table}\n{END}{after}"


def _measured(entry: Mapping[str, Any]) -> list[str]:
    mae, within = entry["summary"]["mae"], entry["summary"]["cs5"]
    minutes = [fold["minutes"] for fold in entry["folds"] if fold["minutes"] is not None]
    files = "".join(f", {name}" for name in entry["files"].values())
    return [
        f"`{entry['protocol']}`{files}",
        f"[`{entry['recipe']}`](../recipes/{entry['recipe']}.yaml), {entry['model']}",
        f"**{_spread(mae['mean'], mae['sd'])}**",
        _spread(100 * within["mean"], within["sd"] and 100 * within["sd"], digits=1, unit="%"),
        entry["pretraining"],
        str(entry["img_size"] or "the backbone's"),
        _folds(entry),
        f"{sum(minutes) / len(minutes):.1f}" if minutes else "",
        "measured at " + ", ".join(dict.fromkeys(fold["commit"] for fold in entry["folds"])),
    ]


def _folds(entry: Mapping[str, Any]) -> str:
    there, of = len(entry["folds"]), entry["of"]
    return str(of) if there == of else f"{there} of {of}"


def _published(name: str, figure: Published) -> list[str]:
    return [
        f"`{name}`",
        figure.model,
        _spread(figure.mae, figure.sd) + ("" if figure.certain else ", not certain"),
        "",
        figure.pretraining or "",
        str(figure.img_size or ""),
        "",
        "",
        f"[{figure.source.removeprefix('https://')}]({figure.source}): {figure.note}",
    ]


def _spread(mean: float, sd: float | None, digits: int = 2, unit: str = "") -> str:
    return f"{mean:.{digits}f}{unit}" + ("" if sd is None else f" ± {sd:.{digits}f}{unit}")
