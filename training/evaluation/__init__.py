"""The measurements that a run takes of itself, and what it decides from them."""
