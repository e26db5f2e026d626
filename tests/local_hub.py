"""A stand-in for the API of the Hugging Face Hub, on loopback: what pushing a model needs of it.

Written after what huggingface_hub sends, and no more than that: it has not been held against the
real one.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

TOKEN = "hf_of_the_tests"
OID = "0" * 40


class Hub(ThreadingHTTPServer):
    """`repositories`: the payload that made each; `files`: content by path of what is committed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, Any]] = {}
        self.uploaded: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.summary = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.answer({"error": "Repository not found"}, 404)

    def do_PUT(self) -> None:
        content = self.body()
        assert hashlib.sha256(content).hexdigest() == self.path.split("/")[-1]
        self.server.uploaded[self.path.split("/")[-1]] = content
        self.answer({})

    def do_POST(self) -> None:
        body, path = self.body(), self.path
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer({"error": "Invalid username or password."}, 401)
        elif path == "/api/repos/create":
            made = json.loads(body)
            name = f"{made['organization']}/{made['name']}"
            known = name in self.server.repositories
            self.server.repositories.setdefault(name, made)
            self.answer({"url": f"{self.server.address}/{name}"}, 409 if known else 200)
        elif path == "/api/validate-yaml":
            faults = metadata_faults(json.loads(body)["content"])
            self.answer({"errors": faults, "warnings": []}, 400 if faults else 200)
        elif "/preupload/" in path:
            self.answer({"files": [upload_mode(file) for file in json.loads(body)["files"]]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = [self.upload_action(wanted) for wanted in json.loads(body)["objects"]]
            self.answer({"transfer": "basic", "objects": objects})
        else:
            self.commit([json.loads(line) for line in body.splitlines()])
            url = f"{self.server.address}/{path.split('/commit/')[0][len('/api/models/') :]}"
            self.answer({"commitUrl": f"{url}/commit/{OID}", "commitOid": OID})

    def upload_action(self, wanted: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.server.address}/storage/{wanted['oid']}"}
        return {**wanted, "actions": {"upload": upload}}

    def commit(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.server.summary = value["summary"]
            elif line["key"] == "lfsFile":
                self.server.files[value["path"]] = self.server.uploaded[value["oid"]]
            else:
                self.server.files[value["path"]] = base64.b64decode(value["content"])

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer(self, content: dict[str, Any], status: int = 200) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing between the lines of the tests."""


def upload_mode(file: dict[str, Any]) -> dict[str, Any]:
    large = file["path"].endswith(".safetensors")
    return {
        "path": file["path"],
        "uploadMode": "lfs" if large else "regular",
        "shouldIgnore": False,
    }


def metadata_faults(card: str) -> list[dict[str, str]]:
    """What the Hub is known to refuse: no licence name where it is another than those it knows."""
    content = yaml.safe_load(card.split("---\n")[1])
    if content.get("license") == "other" and not content.get("license_name"):
        return [{"message": '"license_name" is required'}]
    return []


@contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, args=[0.01])
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
