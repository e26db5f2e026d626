"""Where a model finds its evidence, and the faces that this is shown on."""
