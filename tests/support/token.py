"""A PKCS 11 token in software (SoftHSM), with keys on it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PIN = "correct horse"
LABEL = "list"
LIBRARIES = tuple(
    Path(folder) / "softhsm/libsofthsm2.so"
    for folder in ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu")
)


class Token:
    """A token of its own below a folder; the library stays with the process, so a process has one."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        program = shutil.which("softhsm2-util")
        library = next((one for one in LIBRARIES if one.exists()), None)
        if program is None or library is None:
            pytest.skip("softhsm2 is not installed")
        self._pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
        (folder / "tokens").mkdir(parents=True)
        configuration = folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
        patch.setenv("SOFTHSM2_CONF", str(configuration))
        patch.setenv("PYKCS11LIB", str(library))
        arguments = ("--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", PIN)
        subprocess.run([program, *arguments], check=True, capture_output=True)
        self.pin = folder / "pin"
        self.pin.write_text(PIN + "\n")
        self._token = self._pkcs11.lib(str(library)).get_token(token_label=LABEL)

    def draw(self, number: int, curve: str = "secp256r1") -> str:
        """Makes a key on the token; its URI."""
        from pkcs11.util.ec import encode_named_curve_parameters

        attribute, kind = self._pkcs11.Attribute.EC_PARAMS, self._pkcs11.KeyType.EC
        with self._token.open(rw=True, user_pin=PIN) as session:
            parameters = session.create_domain_parameters(
                kind, {attribute: encode_named_curve_parameters(curve)}, local=True
            )
            parameters.generate_keypair(store=True, id=bytes([number]), label=f"key {number}")
        return f"hsm:{number}?label={LABEL}"
