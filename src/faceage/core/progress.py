"""Progress bars: after two seconds, and rarely where the output is a file and not a terminal.

Of several processes that train together the first one shows them.
"""

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def bar(items: Iterable[Item], what: str, unit: str, total: int | None = None) -> "tqdm[Item]":
    """Wrap `items` in a bar that appears if going through them takes over two seconds."""
    interval = 0.5 if sys.stderr.isatty() else 15.0
    others = os.environ.get("RANK", "0") != "0"
    return tqdm(
        items, what, total, unit=unit, delay=2, mininterval=interval, leave=False, disable=others
    )
