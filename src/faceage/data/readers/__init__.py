"""Where sources keep their labels: a reader for each layout, chosen by `registry`."""
