"""Networks, targets and losses, and the training that brings them together."""
