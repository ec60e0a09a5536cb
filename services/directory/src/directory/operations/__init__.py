"""What changes the directory; each function is one transaction."""
