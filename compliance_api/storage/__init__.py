"""PostgreSQL: implements the ports that use cases ask for."""
