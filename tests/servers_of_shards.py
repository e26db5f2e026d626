"""A folder on a web server and in S3, both on loopback."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from boto3 import client
from moto.server import ThreadedMotoServer
from starlette.applications import Starlette
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
BUCKET = "faces"


class WebServer:
    """Serves the files of a folder, and parts of them, until it is stopped.

    address: of the folder; sent: bytes of all answers so far.
    """

    def __init__(self, folder: Path, port: int) -> None:
        application, self.sent = Starlette(), 0
        application.mount("/", StaticFiles(directory=folder))

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            async def sending(message: Message) -> None:
                self.sent += len(message.get("body", b""))
                await send(message)

            await application(scope, receive, sending)

        config = uvicorn.Config(
            counted, lifespan="off", host="127.0.0.1", port=port, log_level="error"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        (self.port,) = (s.getsockname()[1] for s in self.server.servers[0].sockets)
        self.address = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Answer no more, as after a cut of the line."""
        self.server.should_exit = self.server.force_exit = True
        self.thread.join()


@contextmanager
def web_server(folder: Path, port: int = 0) -> Iterator[WebServer]:
    """A web server, stopped at the end; at any port that is free, unless one is given."""
    server = WebServer(folder, port)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """An S3 server that holds the files of a folder; credentials and endpoint are environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name.upper(), value)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        s3 = client("s3", endpoint_url=endpoint, **KEYS)
        s3.create_bucket(Bucket=BUCKET)
        for path in folder.rglob("*"):
            if path.is_file():
                s3.upload_file(str(path), BUCKET, path.relative_to(folder).as_posix())
        yield f"s3://{BUCKET}"
    server.stop()
