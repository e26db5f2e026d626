"""How ingest, split and the search for near-duplicates grow: UTKFace, and 4 and 16 times as many.

The further faces are UTKFace's, turned, zoomed and moved so far that they are no near-duplicates of
what they were made from, with other time stamps, written as JPEG anew.
"""

import io
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from speed_work import ROOT, Found, Work, write_params

from faceage.core import images
from faceage.core.threads import in_threads
from faceage.data.sources import Source, open_source

TIMES = (1, 4, 16)
STAMP = re.compile(r"_(19|20)(\d\d)(\d{4})")
SEARCH = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, {src!r})
import numpy as np
from pyarrow import feather
from faceage.data import duplicates
(cached,) = Path(".ingest").glob("*.feather")
prints = feather.read_table(cached, columns=["fingerprint"]).column(0).drop_null().to_pylist()
prints = np.stack([np.frombuffer(p, np.uint8).reshape(duplicates.SIDE, -1) for p in prints])
start = time.perf_counter()
pairs = duplicates.near_pairs(prints, 0.98)
print(json.dumps({{"images": len(prints), "pairs": len(pairs), "s": time.perf_counter() - start}}))
"""


def growth(work: Work, times: tuple[int, ...] = TIMES) -> Found:
    """Seconds and largest memory of each, by how many times UTKFace."""
    found: Found = {}
    for count in times:
        with TemporaryDirectory(dir=work.folder) as place:
            folder = Path(place)
            archive = work.utkface if count == 1 else multiplied(work.utkface, count, folder)
            write_params(folder, {"data": {"source": str(archive)}})
            row: Found = {}
            for stage in ("ingest", "split"):
                script = str(ROOT / f"src/{stage}.py")
                row[stage], _ = measured(folder, [sys.executable, script])
            code = SEARCH.format(src=str(ROOT / "src"))
            row["search"], printed = measured(folder, [sys.executable, "-c", code])
            searched = json.loads(printed)
            row["search"]["seconds"] = searched.pop("s")
            found[f"{count}"] = row | searched
    first = found[f"{times[0]}"]
    for row in found.values():
        larger = row["images"] / first["images"]
        for name in ("ingest", "split", "search"):
            row[name]["over_linear"] = row[name]["seconds"] / first[name]["seconds"] / larger
    return found


def measured(folder: Path, command: list[str]) -> tuple[dict[str, float], str]:
    """Seconds and largest memory, in GB, of a process in the folder; and what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "DVC_ROOT"}
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert not process.returncode, command
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak": used.ru_maxrss * 1024 / 1e9}, printed


def multiplied(utkface: Path, count: int, folder: Path) -> Path:
    """An archive of so many times the faces."""
    archive = folder / "faces.tar"
    with tarfile.open(archive, "w") as out, open_source(str(utkface)) as source:
        for name, content in in_threads(changed, copies(source, count)):
            header = tarfile.TarInfo(name)
            header.size = len(content)
            out.addfile(header, io.BytesIO(content))
    return archive


def copies(source: Source, count: int) -> Iterator[tuple[str, bytes, int]]:
    """Name, content and number of each face and its copies; 0 is the face itself."""
    for name in source.names:
        if name.lower().endswith(".jpg"):
            content = source.read(name)
            for number in range(count):
                yield name, content, number


def changed(item: tuple[str, bytes, int]) -> tuple[str, bytes]:
    """The face of that number; in other years for each, so that no two are of one burst."""
    name, content, number = item
    if not number:
        return name, content
    chance = random.Random(f"{name}{number}")
    picture = images.decode(content)
    side, turn = picture.width, chance.choice((-1, 1)) * chance.uniform(8, 30)
    picture = picture.rotate(turn, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128))
    width = side * chance.uniform(0.55, 0.9)
    left, top = (chance.uniform(0, side - width) for _ in range(2))
    picture = picture.resize(
        (side, side), Image.Resampling.BILINEAR, (left, top, left + width, top + width)
    )
    stamp = STAMP.sub(lambda found: f"_{1920 + 6 * number + int(found[2]) % 6}{found[3]}", name, 1)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=chance.randint(70, 90))
    return f"{number}/{stamp}", file.getvalue()
