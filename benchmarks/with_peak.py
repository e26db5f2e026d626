"""Run a script, and print its largest resident memory, in GB, as the last line.

    python benchmarks/with_peak.py SCRIPT

The system's own account of a child begins with what its parent held when it started it; that of a
process's memory, which is read here, does not.
"""

import runpy
import sys
from pathlib import Path


def peak() -> float:
    """Largest resident memory of this process so far, in GB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e9
    raise OSError("/proc/self/status has no VmHWM: this is measured on Linux")


if __name__ == "__main__":
    del sys.argv[0]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
    print(peak())
