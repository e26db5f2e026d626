"""A finished model in use: on files, as ONNX, in MLflow, as a web page."""
