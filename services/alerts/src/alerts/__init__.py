"""SOS: raised, routed, answered."""
