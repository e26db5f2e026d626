"""The library that the stages share, a room for each part of the way: see CONTRIBUTING.md."""
