"""benchmarks/faults.json and faults.md: what `make test-faults` tried, and what came of it."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conftest import ROOT
from filelock import FileLock

from faceage.core.outputs import atomic_write

RESULTS = ROOT / "benchmarks/faults.json"
LOST = "lost"
HEAD = """# Faults that were done to it

Written by `make test-faults` (tests/faults/record.py); what is promised: docs/reliability.md.
"lost" counts what was neither noticed nor without consequence; it has to be 0.
"""


def survived(outcomes: Counter[str]) -> bool:
    """Whether none of the faults was lost."""
    return not outcomes[LOST]


def write(title: str, found: Mapping[str, Counter[str]], remarks: str = "") -> None:
    """Keep the outcomes of a kind of faults, by what they were done to; render all kinds.

    Parameters
    ----------
    remarks : a sentence with what else was measured
    """
    with FileLock(Path(tempfile.gettempdir()) / "faceage-faults.lock"):
        kinds: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        rows = {what: dict(sorted(outcomes.items())) for what, outcomes in sorted(found.items())}
        kinds[title] = {"remarks": remarks, "faults": rows}
        with atomic_write(RESULTS) as part:
            part.write_text(json.dumps(dict(sorted(kinds.items())), indent=2) + "\n")
        sections = [_section(*kind) for kind in sorted(kinds.items())]
        with atomic_write(RESULTS.with_suffix(".md")) as part:
            part.write_text("\n".join([HEAD, *sections]))


def _section(title: str, kind: Mapping[str, Any]) -> str:
    columns = sorted({name for row in kind["faults"].values() for name in row} - {LOST})
    header = f"| | tried | {' | '.join(columns)} | {LOST} |"
    lines = [f"## {title}\n", header, f"|---|{'---:|' * (len(columns) + 2)}"]
    for what, row in kind["faults"].items():
        counts = [sum(row.values()), *(row.get(name, 0) for name in (*columns, LOST))]
        lines.append(f"| {what} | {' | '.join(f'{count:,}' for count in counts)} |")
    remarks = f"\n{kind['remarks']}\n" if kind["remarks"] else ""
    return "\n".join([*lines, remarks])
