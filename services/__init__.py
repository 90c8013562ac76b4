"""The processes of Gatehouse; they meet only through `gatehouse.*` stubs."""
