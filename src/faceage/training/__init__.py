"""The training of a network: its loop, transforms, phases, optimisers, checkpoints."""
