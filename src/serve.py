"""A page for photographs and the webcam, and a JSON API, on this machine alone.

python src/serve.py            then open http://127.0.0.1:8000
"""

import argparse
from pathlib import Path

import uvicorn

from faceage import saved_model
from faceage.predictor import Predictor
from faceage.serving.app import create
from faceage.stage import run


def main() -> None:
    """Load the model, serve until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: reachable by others too")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--model", type=Path, default=saved_model.FOLDER, help="folder of a model")
    asked = parser.parse_args()
    app = create(Predictor(asked.model))
    print(f"open http://{asked.host}:{asked.port} (Ctrl+C ends it)", flush=True)
    uvicorn.run(app, host=asked.host, port=asked.port, log_level="warning")


if __name__ == "__main__":
    run(main)
