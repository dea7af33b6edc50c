"""Learning from recorded games of an expert."""
