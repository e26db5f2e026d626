"""A training on a Ray cluster: Ray gives the nodes, and on each the same command starts.

Ray Train would need a training written for it, and its cluster on a single machine too. So Ray
only reserves the nodes, all or none of them, and starts there what torchrun's own variables make of
`src/train.py` on several machines. The nodes see one disk, as all work on the cluster asks for.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from faceage.core import cluster
from faceage.core.script import UserError

# What of the environment is for the training and not for the machine that it is started on.
PASSED_ON = ("DVC_", "GLOO_", "HF_", "MLFLOW_", "NCCL_", "OMP_", "PYTHONPATH")
ENDED = "exit code "  # begins the last line of what a node says
LOST_OTHERS = "has lost the processes of other machines"
GO_ON = "start it again with the same command, it goes on after the last finished epoch"


def train_on_cluster() -> None:
    """Start `src/train.py` on the nodes with GPUs, a process for each; where none has, on all.

    Raises
    ------
    UserError
        If a node has gone, or with what ended the training on one.
    """
    with cluster.connected():
        import ray  # noqa: PLC0415 (few have it, and it is slow to load)
        from ray.util import placement_group, remove_placement_group  # noqa: PLC0415

        bundles = _bundles(ray.nodes())
        group = placement_group(bundles, strategy="STRICT_SPREAD")
        if not group.wait(timeout_seconds=10):
            print(f"waiting for {len(bundles)} nodes of the cluster, which others use", flush=True)
            ray.get(group.ready())
        try:
            _train_on(ray, group, bundles)
        finally:
            remove_placement_group(group)  # and Ray ends what still runs there


def _bundles(nodes: list[dict[str, Any]]) -> list[dict[str, float]]:
    """What of each node is needed: its GPUs, or where no node has any, its cores."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    kind = "GPU" if any("GPU" in resources for resources in alive) else "CPU"
    return [{kind: resources[kind]} for resources in alive if resources.get(kind)]


def _train_on(ray: Any, group: Any, bundles: list[dict[str, float]]) -> None:
    from ray.util.scheduling_strategies import (  # noqa: PLC0415
        PlacementGroupSchedulingStrategy,
    )

    def on_node(number: int, function: Any) -> Any:
        bundle = bundles[number]
        where = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=number)
        wanted = {"num_cpus": bundle.get("CPU", 0), "num_gpus": bundle.get("GPU", 0)}
        return ray.remote(**wanted, max_retries=0, scheduling_strategy=where)(function)

    address, port = ray.get(on_node(0, _address).remote())
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    started = []
    for number, bundle in enumerate(bundles):
        torchrun = {
            "PET_NNODES": str(len(bundles)),
            "PET_NODE_RANK": str(number),
            "PET_MASTER_ADDR": address,
            "PET_MASTER_PORT": port,
            "PET_NPROC_PER_NODE": str(int(bundle.get("GPU", 1))),
        }
        started.append(on_node(number, _train_here).remote(str(Path.cwd()), passed | torchrun))

    def said(number: int) -> list[str]:
        lines = []
        try:
            for reference in started[number]:
                lines.append(ray.get(reference))
                if number == 0 and not lines[-1].startswith((ENDED, "error: ")):
                    print(lines[-1], flush=True)
        except ray.exceptions.RayError as error:
            name = type(error).__name__
            lines.append(f"error: train: node {number} of the cluster has gone ({name}): {GO_ON}")
        return lines

    with ThreadPoolExecutor(len(bundles)) as threads:
        try:
            said_by_all = list(threads.map(said, range(len(bundles))))
        except BaseException:  # an interruption: the threads end when the nodes do
            for each in started:
                ray.cancel(each)
            raise
    _require_done(said_by_all)


def _require_done(said: list[list[str]]) -> None:
    """Raise a `UserError` with what ended a training, of the lines that each of its nodes said."""
    if all(lines[-1] == f"{ENDED}0" for lines in said):
        return
    reasons = [line for lines in said for line in lines if line.startswith("error: ")]
    first_hand = [reason for reason in reasons if LOST_OTHERS not in reason]
    for reason in first_hand or reasons:
        raise UserError(reason.removeprefix("error: "))
    raise UserError("train: a node of the cluster has ended the training and not said why")


def _address() -> tuple[str, str]:
    """Where the processes of the other nodes find this one: an address and a free port."""
    import socket  # noqa: PLC0415

    import ray  # noqa: PLC0415

    with socket.socket() as free:
        free.bind(("", 0))
        return ray.util.get_node_ip_address(), str(free.getsockname()[1])


def _train_here(folder: str, passed_on: Mapping[str, str]) -> Iterator[str]:
    """Train in the folder, as one of several machines; what is printed, line by line."""
    if not Path(folder, "src/train.py").exists():
        yield f"error: train: a node of the cluster has no {folder}: all have to see one disk"
        yield f"{ENDED}1"
        return
    own = {name: value for name, value in os.environ.items() if name not in _RAYS_OWN}
    process = subprocess.Popen(
        [sys.executable, "src/train.py"],
        cwd=folder,
        env=own | dict(passed_on),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            yield line.rstrip("\n")
        yield f"{ENDED}{process.wait()}"
    finally:
        process.terminate()
        process.wait()


# Its workers have one thread, and know the cluster that the training is not to start on again.
_RAYS_OWN = {cluster.ADDRESS, "OMP_NUM_THREADS"}
