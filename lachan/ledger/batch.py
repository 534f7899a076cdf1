"""What a leaf of a signed message commits to: the message as it was signed, the signature, and whose key that was.

Holds always: the service and whoever signed make the same bytes of the same three fields.
"""

from __future__ import annotations

from lachan.compliance.v1.report_pb2 import SignedReport


def signed(message: bytes, signature: bytes, key_id: bytes) -> bytes:
    """The content of a leaf of kind report, unverified_report or observation.

    SignedReport and SignedObservation are one form: fields 1 to 3, in this order, each with its length.
    """
    return SignedReport(report=message, signature=signature, key_id=key_id).SerializeToString(deterministic=True)
