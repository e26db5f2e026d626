"""Predictions of a finished model: for files, as ONNX, in MLflow, on a web page."""
