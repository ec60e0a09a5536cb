"""Files that an import takes and an export makes, one module a form."""
