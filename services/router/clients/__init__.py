"""The other Gatehouse services, as the router calls them."""
