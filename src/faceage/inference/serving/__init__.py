"""The model as a local web page and a JSON API."""
