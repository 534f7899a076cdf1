"""The registry: where entries are born, decided on and retired, in PostgreSQL."""
