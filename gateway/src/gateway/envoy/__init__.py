"""The edge: Envoy and its configuration."""
