"""Formats of what outlives the program that wrote it: model folders, reports and ONNX files.

1: up to November 24th, 2026, with names of its own for what is in it; 2: with those of the field;
3: says its format, and carries hashes of its content. All are read; a later one is refused.
"""

from collections.abc import Mapping
from typing import Any

from faceage.core.script import UserError

KEY = "format"
CURRENT = 3


def require_known(content: Mapping[str, Any], where: object) -> None:
    """Raise `UserError` if what was read says that a later program than this one wrote it."""
    found = content.get(KEY, CURRENT)
    if isinstance(found, int) and found > CURRENT:
        raise UserError(
            f"{where} is of format {found}, and this faceage knows those up to {CURRENT}: use the"
            " faceage that wrote it, or a later one"
        )
