"""Entities with their rules, a module for each resource. Whoever reads `Model.metadata` needs all of their tables."""

from alerts.model import alerts, callers, deliveries, incidents, responses, statistics, texts, timeline, units, warnings, webhooks
from alerts.model.tables import Model

__all__ = [
    "Model",
    "alerts",
    "callers",
    "deliveries",
    "incidents",
    "responses",
    "statistics",
    "texts",
    "timeline",
    "units",
    "warnings",
    "webhooks",
]
