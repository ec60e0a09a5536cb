"""Runs the directory's migrations."""

from chassis.migrations import run_environment

run_environment()
