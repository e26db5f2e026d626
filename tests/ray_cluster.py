"""A Ray cluster of two nodes on this machine, with little memory, that is gone after the test."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

STORE = 100 * 2**20  # bytes of the nodes' shared memory


@contextmanager
def two_nodes() -> Iterator[Any]:
    """The cluster, to which this process is connected; RAY_ADDRESS names it."""
    pytest.importorskip("ray", reason="Ray is not installed: requirements-cluster.txt")
    from faceage.core import cluster as ours

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray") as place:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray has its workers stand back for others, and on a busy machine they never come to it.
        patch.setenv("RAY_worker_niceness", "0")
        # It counts what others have taken, and ends workers for it.
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")
        patch.setenv("RAY_TMPDIR", place)
        patch.setenv("HOME", place)  # where Ray leaves the token that its processes share
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        import ray
        from ray.cluster_utils import Cluster

        node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": STORE}
        cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
        try:
            cluster.add_node(**node)
            patch.setenv(ours.ADDRESS, cluster.address)
            with ours.connected():
                yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()
