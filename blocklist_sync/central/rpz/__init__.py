"""The list as a Response Policy Zone, for operators who keep their own resolver."""
