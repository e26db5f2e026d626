"""The library that the stages share; `src/*.py` are the scripts that read top to bottom."""
