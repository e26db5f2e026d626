"""Stages of the pipeline, each in a fork of a process that has imported what they import.

    LD_PRELOAD=failing.so python forked_stages.py MODULE...

It reads a request a line, runs the script in a fork with the fault armed (see failing.c), and
answers with a line: {"status": ..., "calls": {kind: ...}}.
"""

import ctypes
import importlib
import io
import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
KINDS = ("full", "io", "denied", "unreadable", "vanish", "change")


def serve() -> None:
    """Answer requests until the input ends."""
    faults = ctypes.CDLL(None)
    faults.faults_count.restype = ctypes.c_long
    imported()
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if not child:
            status = ended(faults, request)
            calls = {kind: faults.faults_count(kind.encode()) for kind in KINDS}
            os.write(write, json.dumps(calls).encode())
            os._exit(status)
        os.close(write)
        _, status = os.waitpid(child, 0)
        calls = json.loads(os.read(read, 1000) or "{}")
        os.close(read)
        answer = {"status": os.waitstatus_to_exitcode(status), "calls": calls}
        print(json.dumps(answer), flush=True)


def imported() -> None:
    """Import the scripts of the stages, and with them all that they need."""
    sys.path.insert(0, str(SRC))
    modules = [importlib.import_module(name) for name in sys.argv[1:]]
    picture = io.BytesIO()
    Image.new("L", (1, 1)).save(picture, "PNG")
    for module in modules:
        if module.__name__ == "report":  # drawing takes most of its time
            module.themes.png = lambda *_, **__: picture.getvalue()


def ended(faults: Any, request: dict[str, Any]) -> int:
    """Run a script as Python does, with the fault; its exit status."""
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, number)
    script, *arguments = request["command"]
    script = str(ROOT / script)
    sys.argv = [script, *arguments]
    below = request["below"].encode()
    faults.faults_arm(request["kind"].encode(), ctypes.c_long(request["call"]), below)
    try:
        runpy.run_path(script, run_name="__main__")
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    serve()
