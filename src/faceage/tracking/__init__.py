"""One run for each model: opened by train, continued by evaluate and report.

It is one of MLflow's, see `mlflow_runs`, or with `tracking: off` none: then MLflow, which takes a
second and 80 MB, is not loaded at all.
"""

import os

# Before MLflow is loaded, which looks then.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# MLflow's client tries again for minutes, after each epoch; what it cannot log is kept anyway.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
