"""The wire formats that dialects are made of: how a request is written and its answers are read."""
