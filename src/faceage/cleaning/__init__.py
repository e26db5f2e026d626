"""Labels that are probably wrong, faces unlike the others, and the features that tell."""
