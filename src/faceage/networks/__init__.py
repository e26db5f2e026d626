"""Networks, their targets and losses, the saved model, and forward passes through it."""
