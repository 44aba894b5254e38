"""Packs: what comes whole is found, whatever is cut off or wrong behind it."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.packs import FILES_MAX, PACK_BYTES, grouped, head, unpack

FILES = st.lists(st.binary(max_size=40), max_size=6, unique=True)


def packed(files: list[bytes]) -> list[bytes]:
    return [head(hashlib.sha256(data).hexdigest(), len(data)) + data for data in files]


@given(FILES, st.integers(0, 700))
def test_of_a_pack_that_is_cut_off_the_files_before_the_cut_are_found(files: list[bytes], cut: int) -> None:
    parts = packed(files)
    body = b"".join(parts)[:cut]
    found = unpack(body)
    whole = [n for n in range(len(parts) + 1) if len(b"".join(parts[:n])) <= len(body)][-1]
    assert list(found.files.values()) == files[:whole] and not found.damaged
    assert found.whole == (body == b"".join(parts[:whole]))


@given(FILES.filter(bool), st.data())
def test_a_changed_byte_never_makes_another_file(files: list[bytes], draw: st.DataObject) -> None:
    body = bytearray(b"".join(packed(files)))
    at = draw.draw(st.integers(0, len(body) - 1))
    body[at] ^= draw.draw(st.integers(1, 255))
    found = unpack(bytes(body))
    assert set(found.files.values()) < set(files)
    assert found.damaged or not found.whole


def test_groups_are_bounded_by_number_and_size() -> None:
    sizes = [900_000] * 20 + [0] * 1500
    groups = list(grouped(sizes, lambda size: size))
    assert [size for group in groups for size in group] == sizes
    assert all(len(group) <= FILES_MAX and sum(group) <= PACK_BYTES for group in groups)
