#!/usr/bin/env bash
# Makes .venv from the lock on a bare machine, with a Python of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

pip install --quiet "$(grep --only-matching '^uv==[^ ]*' requirements.txt)"
uv venv --quiet --allow-existing --python 3.13 .venv
uv pip install --quiet --require-hashes --no-deps --requirement requirements.lock
