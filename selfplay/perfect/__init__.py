"""Small games solved, and mistakes counted against the solution."""
