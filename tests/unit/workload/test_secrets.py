"""Secrets are taken out of a file whole, and nothing else of it changes."""

import stat
import string
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.api.submitting import Order, read_order
from zhisuan.base.errors import InvalidInput, Unavailable
from zhisuan.base.vault import KEY_FILE, Vault
from zhisuan.workload.reading.secrets import take_secrets

NOW = datetime(2026, 7, 1, tzinfo=UTC)
FILE = """\
# keep this remark
name: train
secrets:
  TOKEN: s3cr3t-value   # and this one
  QUOTED: "with \\"quotes\\" and \\u4e2d"
  LONG: |
    first line
    second line
  NUMBER: 12345678901
  LATER:
envs: {MODEL: gpt2}   # last
run: |
  echo $TOKEN
"""


def problems_of(file: str, **given: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        read_order(file, given)
    return {p.where: p.problem.en for p in caught.value.problems}


def test_values_leave_the_text_and_everything_else_stays() -> None:
    order = read_order(FILE, {"LATER": "given beside"})
    assert order.secrets == {
        "TOKEN": "s3cr3t-value", "QUOTED": 'with "quotes" and 中', "LONG": "first line\nsecond line\n",
        "NUMBER": "12345678901", "LATER": "given beside",
    }  # fmt: skip
    assert order.spec.secrets == tuple(sorted(order.secrets))
    assert order.text == FILE.replace("s3cr3t-value", "null").replace('"with \\"quotes\\" and \\u4e2d"', "null").replace(
        "|\n    first line\n    second line\n", "null\n"
    ).replace("12345678901", "null")
    assert yaml.safe_load(order.text)["secrets"] == dict.fromkeys(order.secrets)
    assert order.spec == read_order(order.text, order.secrets).spec


values = st.text(st.characters(codec="utf-8", exclude_characters="\0\x85\u2028\u2029", exclude_categories=("Cc", "Cs")), max_size=30)
names = st.text(string.ascii_uppercase, min_size=1, max_size=5).filter(lambda n: n not in ("NULL", "NO", "N", "Y", "YES", "ON", "OFF", "TRUE", "FALSE"))


@given(
    secrets=st.dictionaries(names, values.filter(lambda v: len(v) >= 8), max_size=4),
    style=st.sampled_from((None, '"', "'", "|", ">")),
    flow=st.sampled_from((None, True, False)),
    after=st.booleans(),
)
def test_whatever_the_style_nothing_of_a_secret_stays(
    secrets: dict[str, str], style: str | None, flow: bool | None, after: bool
) -> None:
    rest = {"run": "x", "envs": {"A": "b"}}
    data = {**rest, "secrets": secrets} if after else {"secrets": secrets, **rest}
    text = yaml.safe_dump(data, default_style=style, default_flow_style=flow, allow_unicode=True, sort_keys=False)
    taken = take_secrets(text)
    assert taken.values == secrets and not taken.problems
    assert yaml.safe_load(taken.text) == data | {"secrets": dict.fromkeys(secrets)}
    assert not any(value in taken.text for value in secrets.values())


@given(text=st.text(alphabet="secrets: {}[]&*a!|>'\"\n-x", max_size=60))
def test_any_text_is_given_back_or_cut_without_falling(text: str) -> None:
    take_secrets(text)
    take_secrets("secrets: " + text)
    take_secrets("secrets:\n  A: " + text)


@pytest.mark.parametrize(
    ("file", "where"),
    [
        ("run: x\nsecrets: {A: }", "secrets.A"), ("run: x\nsecrets: [A]", "secrets.A"), ("run: x\nsecrets: {1A: hidden-value}", "secrets.1A"),
        ("run: x\nsecrets: {ZHISUAN_A: hidden-value}", "secrets.ZHISUAN_A"), ("run: x\nsecrets: {A: [hidden-value]}", "secrets.A"),
        ("run: x\nsecrets: {A: hidden-value}\nenvs: {A: b}", "secrets.A"), ("run: x\nsecrets: hidden-value", "secrets"),
        ("run: use hidden-value\nsecrets: {A: hidden-value}", "secrets.A"), ("run: x\nname: &n hidden-value\nsecrets: {A: *n}", "secrets.A"),
        ("run: x\nsecrets: {A: &n hidden-value}\nname: *n", "secrets"), ("run: x\nsecrets: {A: hidden-value, A: hidden-value}", "secrets.A"),
    ],
)  # fmt: skip
def test_a_secret_that_cannot_be_kept_apart_is_refused_without_saying_it(file: str, where: str) -> None:
    found = problems_of(file)
    assert where in found, found
    assert "hidden-value" not in str(found)


def test_values_beside_the_file_go_first_and_are_checked() -> None:
    assert read_order("run: x\nsecrets: {A: in-file}", {"A": "beside"}).secrets == {"A": "beside"}
    assert read_order("run: x", {"B": "further"}).spec.secrets == ("B",)
    assert set(problems_of("run: x", **{"B-": "v", "C": "\0", "D": "x" * 70_000})) == {"secrets.B-", "secrets.C", "secrets.D"}
    assert "secrets.E" in problems_of("run: curl very-secret", E="very-secret")


def test_what_was_sealed_opens_with_any_kept_key_and_no_other() -> None:
    old, new, other = (Fernet.generate_key().decode() for _ in range(3))
    sealed = Vault([old]).seal("秘密".encode(), NOW)
    assert Vault([new, old]).open(sealed).decode() == "秘密" and "秘密".encode() not in sealed
    for vault, data in ((Vault([other]), sealed), (Vault([old]), sealed[:-2] + b"AA"), (Vault([old]), b"")):
        with pytest.raises(Unavailable):
            vault.open(data)


def test_the_key_of_an_installation_is_made_once_and_private(tmp_path: Path) -> None:
    first, second = (Vault.of_installation(tmp_path / "data", None) for _ in range(2))
    assert second.open(first.seal(b"x", NOW)) == b"x"
    assert stat.S_IMODE((tmp_path / "data" / KEY_FILE).stat().st_mode) == 0o600
    assert [p.name for p in (tmp_path / "data").iterdir()] == [KEY_FILE]
    (tmp_path / "data" / KEY_FILE).write_text("damaged")
    with pytest.raises(Unavailable) as caught:
        Vault.of_installation(tmp_path / "data", None)
    assert "damaged" not in str(caught.value.as_problem("en"))


def test_fingerprints_tell_apart_and_need_the_key() -> None:
    vault, other = (Vault([Fernet.generate_key().decode()]) for _ in range(2))
    order = Order(read_order("run: x", {}).spec, "", {"A": "1"})
    assert order.fingerprints(vault) == order.fingerprints(vault) != order.fingerprints(other)
    assert vault.fingerprint("1") != vault.fingerprint("2")
