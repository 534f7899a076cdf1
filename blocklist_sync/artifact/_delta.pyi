# Records are given as the release's bytes, the offset of its body and their count. remap: for each order of the old
# release its index in the new one as little-endian uint32, or all ones where it is gone.

# What the new release has and the old one has not, and the other way round: how many records are removed, their indices
# as varint gaps; how many are added, the bytes of a gap, the kinds (6 bytes each), the gaps, the kinds' indices.
def diff(
    old: bytes, old_offset: int, old_count: int, new: bytes, new_offset: int, new_count: int, remap: bytes
) -> tuple[int, bytes, int, int, bytes, bytes, bytes]: ...

# The new records behind `prefix`. delta: all of it; kinds_at: where its kinds begin, which the other sections follow;
# orders: how many the new release has.
def apply(
    old: bytes,
    offset: int,
    count: int,
    remap: bytes,
    prefix: bytes,
    orders: int,
    delta: bytes,
    *,
    kinds_at: int,
    kinds: int,
    removed: int,
    removed_bytes: int,
    added: int,
    width: int,
) -> bytes: ...
