"""Reads what reaches the emergency number without data. Nothing here refuses, guesses or raises."""
