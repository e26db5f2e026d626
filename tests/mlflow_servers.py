"""Real MLflow servers on loopback, and a real PostgreSQL for one of them, started and stopped."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def mlflow_server(database: str, folder: Path, port: int | None = None) -> Iterator[str]:
    """Start a server that keeps runs in a database and artifacts in a folder; yield its address."""
    port = port or free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)),
            *("--backend-store-uri", database),
            *("--artifacts-destination", str(folder / "server_artifacts")),
        ],
        # Its start-up kept small.
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.5)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Start a private cluster on loopback; yield the URL of its database.

    Skips where PostgreSQL is not installed: apt-get install postgresql.
    """
    programs = [
        Path(found).resolve().parent for name in ("pg_ctl",) if (found := shutil.which(name))
    ]
    programs += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = None
    if os.geteuid() == 0:  # as which PostgreSQL refuses to run
        user = "nobody"
        nobody = pwd.getpwnam(user)
        folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    port, data = free_port(), folder / "cluster"

    def call(program: str, *arguments: str) -> None:
        command = [str(programs[0] / program), "-D", str(data), *arguments]
        subprocess.run(command, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL)

    call("initdb", "--auth", "trust", "--username", "faceage", "--no-sync")
    options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
    call("pg_ctl", "--wait", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://faceage@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "--wait", "--mode", "immediate", "stop")
        shutil.rmtree(folder)
