"""From a source of files to labelled faces: read, checked, grouped, split, doubted."""
