"""What the world publishes about models: prices, sizes, abilities. All of it is data that is shipped with Gatehouse."""
