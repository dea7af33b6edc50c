"""Distributed self-play and matches on Ray: one pool of actors, and what they are asked to do."""
