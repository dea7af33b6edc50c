"""Amplify: ways to make a stronger, slower decision maker out of a network."""
