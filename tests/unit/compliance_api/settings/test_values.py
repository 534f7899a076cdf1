from __future__ import annotations

from compliance_api.settings.values import is_loopback


def test_loopback_is_recognised() -> None:
    assert all(is_loopback(one) for one in ("127.0.0.1:1", "[::1]:1", "localhost:1", "127.8.8.8:1"))
    assert not any(is_loopback(one) for one in ("0.0.0.0:1", "[::]:1", "db.example:1"))
