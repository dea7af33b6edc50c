"""A run as a page with plots."""
