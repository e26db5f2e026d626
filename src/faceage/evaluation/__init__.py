"""What is measured of a model, with intervals, and two runs compared."""
