"""Entities as protobuf messages, and what requests say as columns."""
