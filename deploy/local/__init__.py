"""The one-machine launcher: `python -m deploy.local` starts everything Gatehouse needs and keeps it running."""
