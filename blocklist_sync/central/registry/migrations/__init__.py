"""The history of the schema: Alembic's environment and the migrations, each able to run beside the last release."""
