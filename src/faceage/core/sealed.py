"""Files and JSON objects that carry the hash of their own content: damage shows when they are read.

For what is read outside the pipeline, where dvc.lock does not say what it has to be: a seal is
SHA-256, behind the content of a file, and under a key of its own in a JSON object.
"""

import hashlib
import json
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faceage.core.hashing import sha256

SIZE = hashlib.sha256().digest_size
KEY = "sha256"


class Broken(Exception):
    """The content is not that of the seal, or there is no seal."""


def seal(path: Path) -> None:
    """Append the seal to a file."""
    digest = bytes.fromhex(sha256(path))
    with path.open("ab") as file:
        file.write(digest)


def read(path: Path) -> memoryview:
    """The content of a sealed file, which the system pages in.

    Raises
    ------
    Broken
        If it is another than what was sealed.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        if path.stat().st_size < SIZE:
            raise Broken
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    content, digest = whole[:-SIZE], whole[-SIZE:]
    if hashlib.sha256(content).digest() != digest:
        raise Broken
    return content


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with its seal."""
    return {**content, KEY: _of(content)}


def unsealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object without its seal.

    Raises
    ------
    Broken
        If it is another than what was sealed.
    """
    plain = {key: value for key, value in content.items() if key != KEY}
    if content.get(KEY) != _of(plain):
        raise Broken
    return plain


def _of(content: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(content))  # with text for keys
    text = json.dumps(as_read, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
