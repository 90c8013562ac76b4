"""The environment of the process as a source of the platform's keys."""
