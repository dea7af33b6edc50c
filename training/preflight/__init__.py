"""A forecast of a run: the time, memory and disk that it will take."""
