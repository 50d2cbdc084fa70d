"""The simulator: invented companies whose CRM, HR and finance systems publish events.

Deterministic by seed, without a clock, in bounded memory.
"""

from .companies import COMPANIES, JOYS_TOYS, SAULS_DOLLS, Company
from .outbox import Record
from .simulation import Simulation, history, live

__all__ = ["COMPANIES", "Company", "JOYS_TOYS", "Record", "SAULS_DOLLS", "Simulation", "history", "live"]
