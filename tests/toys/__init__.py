"""Games, players and overseers that no user has, each odd in one way."""
