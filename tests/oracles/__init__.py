"""Answers in plain Python that share no code with ours."""
