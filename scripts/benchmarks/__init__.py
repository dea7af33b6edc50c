"""What `selfplay bench` measures beside the search."""
