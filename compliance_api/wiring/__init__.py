"""The parts of the service, each put together with what it stands on; `compliance_api/app.py` joins them."""
