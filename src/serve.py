"""A page for photographs and the webcam, and a JSON API, on this machine alone.

python src/serve.py            then open http://127.0.0.1:8000
"""

import argparse
from pathlib import Path

from faceage.core.command_line import MODEL_HELP

TOKEN = "FACEAGE_TOKEN"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: reachable by others too")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    parser.add_argument(
        "--token",
        action="store_true",
        help=f"answer only who brings a token: that of the environment's {TOKEN}, else one that is"
        " made up and printed",
    )
    parser.add_argument("--model", type=Path, help=MODEL_HELP)
    return parser.parse_args()


if __name__ == "__main__":
    arguments()  # --help and mistakes are answered before the imports below, which take seconds

import os
import re
import secrets
import socket
import sys
from contextlib import suppress
from ipaddress import ip_address

import torch
import uvicorn

from faceage.core.script import UserError, run
from faceage.inference.serving import model_info
from faceage.inference.serving.app import create
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import default_model

CONNECTIONS = 512  # below the 1,024 files that a process may usually have open


def main() -> None:
    """Take the port, load the model, serve until interrupted."""
    asked = arguments()
    token = given_token()
    made_up = secrets.token_urlsafe() if asked.token and not token else None
    listening = listen(asked.host, asked.port)
    # Half of the cores for the model; what decodes pictures and finds faces has the other half.
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    folder = asked.model or default_model.folder()
    app = create(TorchPredictor(folder), model_info.describe(folder), token or made_up)
    settings = uvicorn.Config(
        app, log_level="warning", limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=3
    )
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    secret = f"/#token={made_up}" if made_up else ""
    print(f"open {address}{secret} (Ctrl+C ends it)", flush=True)
    if not (token or made_up or ip_address(host).is_loopback):
        print(f"note: whoever reaches {host} can use it; --token asks for a token", file=sys.stderr)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(settings).run([listening])


def given_token() -> str | None:
    """The token of the environment, where it cannot be read in a list of processes; None if unset.

    Raises
    ------
    UserError
        If it is short enough to be guessed, or nothing that a header can hold.
    """
    token = os.environ.get(TOKEN)
    if token is not None and not re.fullmatch(r"[!-~]{16,}", token):
        raise UserError(
            f"{TOKEN} has to have 16 or more characters, letters, digits and signs of ASCII: make"
            " one with python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at the address.

    Raises
    ------
    UserError
        If there is no such address or the port cannot be had.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port is {port}, and has to be from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
        # asyncio sees to that for sockets of its own only. Without it the body of an answer waits
        # until the other side has acknowledged the head, which takes it 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        return listening
    except OSError as error:
        # Of names that lead nowhere the number is not one of the system.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise UserError(
            f"port {port} of {host} cannot be had ({reason}); choose another: --port 8001"
        ) from None


if __name__ == "__main__":
    run(main)
