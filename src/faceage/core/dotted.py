"""Nested mappings as one row of values under dotted names: {"train": {"lr": 1}} as train.lr."""

import re
from collections.abc import Iterator, Mapping
from typing import Any


def flatten(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value with its dotted name, in the order of the mapping; lists stay whole."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def filled(text: str, values: Mapping[str, Any]) -> str:
    """A text of dvc.yaml with the values that stand there by their dotted names: ${train.split}."""
    return re.sub(r"\$\{(.+?)\}", lambda name: str(values[name[1]]), text)
