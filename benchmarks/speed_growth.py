"""How ingest, split and the search for near-duplicates grow: UTKFace, and 4 and 16 times as many.

The further faces are UTKFace's, turned, zoomed and moved so far that they are no near-duplicates of
what they were made from, with other time stamps, written as JPEG anew.
"""

import io
import json
import random
import re
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from speed_work import ROOT, Found, Work, run, write_params

from faceage.core import images
from faceage.core.threads import in_threads
from faceage.data.sources import Source, open_source

TIMES = (1, 4, 16)
STAMP = re.compile(r"_(19|20)(\d\d)(\d{4})")


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
                row[stage], _ = measured(folder, f"src/{stage}.py")
            row["search"], printed = measured(folder, "benchmarks/near_search.py")
            searched = json.loads(printed[-1])
            row["search"]["seconds"] = searched.pop("seconds")
            found[f"{count}"] = row | searched
    first = found[f"{times[0]}"]
    for row in found.values():
        larger = row["images"] / first["images"]
        for name in ("ingest", "split", "search"):
            row[name]["over_linear"] = row[name]["seconds"] / first[name]["seconds"] / larger
    return found


def measured(folder: Path, script: str) -> tuple[dict[str, float], list[str]]:
    """Seconds and largest memory, in GB, of a script in the folder; and the lines it printed."""
    start = time.perf_counter()
    *printed, peak = run(folder, "benchmarks/with_peak.py", str(ROOT / script)).stdout.splitlines()
    return {"seconds": time.perf_counter() - start, "peak": float(peak)}, printed


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
