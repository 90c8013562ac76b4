"""What the router records of its attempts."""
