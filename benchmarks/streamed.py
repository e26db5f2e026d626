"""Speed and memory of streamed training on UTKFace: writes benchmarks/streamed.json and .md.

    python benchmarks/streamed.py UTKFACE WEIGHTS FOLDER

UTKFACE is UTKFace.tar or a folder of it, WEIGHTS ImageNet's weights of tf_efficientnet_lite0.
FOLDER gets the faces, as shards, once as they are and once 18 times with changed pixels (2.5 GB);
what is there is used.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import torch
from command_line import asked
from speed_work import ROOT, ROUNDS, Found, prepared, ratio, write_params
from streamed_steps import BLOCK, EVERY, VALIDATED, Steps
from streaming_faces import enlarge

from faceage.core import tables
from faceage.core.shards import Shards

OUT = ROOT / "benchmarks/streamed.json"
TIMES = {"few": 1, "many": 18}
STEPS = 530  # after which the second buffer of faces is in use


def main() -> None:
    """Measure what has not been measured yet, and write both files anew."""
    utkface, weights, folder = asked(__doc__, "utkface", "weights", "folder")
    for name, times in TIMES.items():
        if not (Path(folder) / name / tables.SPLIT).exists():
            write(Path(utkface), Path(weights), Path(folder) / name, times)
    found: Found = json.loads(OUT.read_text()) if OUT.exists() else {}
    measurements: dict[str, Callable[[Path], Found]] = {"speed": speed, "memory": memory}
    for name, measure in measurements.items():
        if name not in found:
            found[name] = measure(Path(folder).resolve())
            OUT.write_text(json.dumps(found, indent=2) + "\n")
    OUT.with_suffix(".md").write_text(page(found))


def write(utkface: Path, weights: Path, folder: Path, times: int) -> None:
    """Faces, split and parameters of a training."""
    (folder / "data").mkdir(parents=True)
    write_params(folder, {"weights": str(weights.resolve())})
    with prepared(utkface.resolve(), weights.resolve()) as work:
        faces, split = work.folder / tables.FACES, work.folder / tables.SPLIT
        with chdir(folder):
            enlarge(faces, split, times)


def speed(folder: Path) -> Found:
    """How many times as fast streamed steps are as those on faces in memory, by turns.

    By the clock, and by the time that the processor worked: on cores that the training fills, what
    reading and decoding add to that is what they cost, whatever else the machine is at.
    """
    with chdir(folder / "few"):
        ways = {pixels: Steps(pixels).block for pixels in ("memory", "stream")}
        for block in ways.values():
            block()
        rounds = []
        for number in range(ROUNDS):
            order = list(ways) if number % 2 == 0 else list(ways)[::-1]
            rounds.append({name: clocked(ways[name]) for name in order})
    found: Found = {"threads": torch.get_num_threads(), "steps": BLOCK}
    for kind in ("clock", "processor"):
        found[kind] = ratio(*([each[way][kind] for each in rounds] for way in ("memory", "stream")))
    return found


def clocked(do: Callable[[], object]) -> dict[str, float]:
    """Seconds that it takes, by the clock and of all threads of this process."""
    clock, processor = time.perf_counter(), time.process_time()
    do()
    return {
        "clock": time.perf_counter() - clock,
        "processor": time.process_time() - processor,
    }


def memory(folder: Path) -> Found:
    """Largest resident memory of streamed trainings, in processes of their own."""
    found: Found = {"steps": STEPS}
    script = str(ROOT / "benchmarks/streamed_steps.py")
    for name in TIMES:
        done = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks/with_peak.py"), script, str(STEPS)],
            cwd=folder / name,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = done.stdout.splitlines()
        with chdir(folder / name):
            faces = sum(
                Shards(tables.FACES).footer(n).num_rows for n in range(len(Shards(tables.FACES)))
            )
        found[name] = {"faces": faces, "gigabytes": float(lines[-1]), **json.loads(lines[-2])}
    return found


def faces(folder: Path) -> int:
    """How many faces there are."""
    shards = Shards(folder / tables.FACES)
    return sum(shards.footer(number).num_rows for number in range(len(shards)))


def page(found: Found) -> str:
    """What has been measured, as Markdown."""
    lines = [
        "# Streamed training",
        "",
        "```",
        "python benchmarks/streamed.py UTKFace.tar tf_efficientnet_lite0.safetensors FOLDER",
        "```",
        "",
        "The recipe `faceage` (tf_efficientnet_lite0, 112 px) with `train.pixels: stream`, from",
        "shards on the local disk, on 2 cores.",
    ]
    if "speed" in found:
        lines += of_speed(found["speed"])
    if "memory" in found:
        lines += of_memory(found["memory"])
    return "\n".join(lines) + "\n"


def of_speed(found: Found) -> list[str]:
    """How many times as fast as in memory."""
    return [
        "",
        f"In {found['clock']['rounds']} rounds of {found['steps']} steps by turns, on"
        f" {found['threads']} threads:",
        "",
        "| speed, streamed against in memory | median of the rounds | slowest | fastest |",
        "|---|---:|---:|---:|",
        *(
            f"| by the {kind} | {found[kind]['ratio']:.0%} | {found[kind]['smallest']:.0%}"
            f" | {found[kind]['largest']:.0%} |"
            for kind in ("clock", "processor")
        ),
        "",
        "Where others use the cores too, the clock favours whoever has more threads: what reading",
        "and decoding cost is then told by the time that the processor worked. A block took",
        f"{found['processor']['seconds'][0]:.1f} s of it in memory and"
        f" {found['processor']['seconds'][1]:.1f} s streamed; by the clock"
        f" {found['clock']['seconds'][0]:.0f} s and {found['clock']['seconds'][1]:.0f} s, of two"
        " threads.",
    ]


def of_memory(found: Found) -> list[str]:
    """Largest memory by number of faces."""
    return [
        "",
        "Largest resident memory of a process so far, when it has read the labels, and the faces",
        f"of {found['steps']} steps, learning from every {EVERY}th, and when it has",
        f"validated {VALIDATED:,}:",
        "",
        "| faces | labels, GB | steps, GB | validation, GB |",
        "|---:|---:|---:|---:|",
        *(
            f"| {part['faces']:,} | {part['labels']:.2f} | {part['steps']:.2f}"
            f" | {part['validation']:.2f} |"
            for part in (found["few"], found["many"])
        ),
    ]


if __name__ == "__main__":
    main()
