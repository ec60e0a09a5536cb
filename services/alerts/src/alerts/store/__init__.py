"""The questions and statements of alerts, a module for each resource."""
