"""What in a face a prediction is attributed to, and the faces that this is shown on."""
