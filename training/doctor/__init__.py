"""Is a run learning, and if not, why?"""

from training.doctor.diagnosis import CHECKS, ORDER, Diagnosis, diagnose

__all__ = ["CHECKS", "ORDER", "Diagnosis", "diagnose"]
