"""For developers: `python -m scripts.developer.NAME`."""
