"""Checks of whether a run is learning, and of why not."""

from training.doctor.diagnosis import CHECKS, Diagnosis, diagnose

__all__ = ["CHECKS", "Diagnosis", "diagnose"]
