"""Checks of whether a run is learning, and of why not."""

from training.doctor.diagnosis import CHECKS, ORDER, Diagnosis, diagnose

__all__ = ["CHECKS", "ORDER", "Diagnosis", "diagnose"]
