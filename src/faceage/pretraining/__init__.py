"""Pre-training of a backbone on faces without their ages."""
