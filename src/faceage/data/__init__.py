"""From a source of files to labelled faces: read, checked, clustered, split."""
