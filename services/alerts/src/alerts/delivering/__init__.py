"""Carries events to agencies' webhooks: from the log to rows, from rows to HTTP."""
