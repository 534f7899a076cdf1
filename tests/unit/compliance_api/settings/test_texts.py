from __future__ import annotations

import json
from pathlib import Path

import pytest

from compliance_api.domain.parties.organisation import Jurisdiction, Label, Registry
from compliance_api.settings.texts import load_law
from lachan.config import ConfigError

LABEL = {"vi": "x", "en": "x"}


def test_a_law_names_known_places(tmp_path: Path) -> None:
    registry = Registry((Jurisdiction("hcm", Label("x", "x")),), ())
    law = {
        "id": "l",
        "effective_from": "2025-01-01T00:00:00+07:00",
        "authority": LABEL,
        "default_citation": LABEL,
        "jurisdictions": ["hcm"],
    }
    path = tmp_path / "law.yaml"
    path.write_text(json.dumps({"laws": [law]}))
    assert load_law(path, registry).laws[0].id == "l"
    path.write_text(json.dumps({"laws": [{**law, "jurisdictions": ["hcm", "mars"]}]}))
    with pytest.raises(ConfigError, match="mars is not in the registry"):
        load_law(path, registry)
