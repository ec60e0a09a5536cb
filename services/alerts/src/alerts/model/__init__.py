"""Entities with their rules, a module for each resource. Whoever reads `Model.metadata` needs all of their tables."""

from alerts.model import alerts, callers, responses, statistics, timeline, units
from alerts.model.tables import Model

__all__ = ["Model", "alerts", "callers", "responses", "statistics", "timeline", "units"]
