"""What changes alerts and what belongs to them; each function is one transaction."""
