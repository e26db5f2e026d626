"""What a file is known by: the hash of its content."""

import hashlib
import json
from pathlib import Path


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return _digest(path, "sha256")


def sha256_of(content: bytes) -> str:
    """SHA-256 of the content of a file, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def md5(path: Path) -> str:
    """MD5 of a file, hexadecimal, as DVC writes it into dvc.lock.

    Of a folder it is that of the list of its files and their MD5, with `.dir` behind it, without
    those that .dvcignore names: what a killed program had begun to write.
    """
    if not path.is_dir():
        return _digest(path, "md5")
    found = (file for file in path.rglob("*") if file.is_file() and not file.match(".*.part"))
    files = {file.relative_to(path).parts: file for file in found}
    listed = [{"md5": md5(files[parts]), "relpath": "/".join(parts)} for parts in sorted(files)]
    text = json.dumps(listed, sort_keys=True)
    return f"{hashlib.md5(text.encode()).hexdigest()}.dir"


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
