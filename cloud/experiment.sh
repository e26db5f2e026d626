#!/usr/bin/env bash
# Runs an experiment, NAME and what else `dvc exp run` takes, and leaves all that its stages wrote in
# the DVC remote. What is there already is not computed again (--pull).
set -euo pipefail
cd "$(dirname "$0")/.."

dvc remote add --quiet --local --force --default cloud "$DVC_REMOTE"
dvc fetch --run-cache || echo "nothing to begin with in $DVC_REMOTE" >&2
dvc exp run --pull --name "$@"
dvc push --run-cache
