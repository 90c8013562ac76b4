"""Logs, traces and metrics: set up in one place, named in one file, scrubbed on the way out."""
