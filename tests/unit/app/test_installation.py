"""One data directory for one platform, and what it says of damage."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zhisuan.app.bootstrap import embedded_site, open_embedded_site, prepare
from zhisuan.app.installation import Installation, Secrets, write_private
from zhisuan.base.db import Database
from zhisuan.base.errors import Conflict, Unavailable

LOCKED = """
import sys
from pathlib import Path
from zhisuan.app.installation import Installation
from zhisuan.base.errors import Conflict
try:
    Installation(Path(sys.argv[1])).lock()
except Conflict as error:
    print(error.code)
"""


def test_a_second_process_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    first = Installation(tmp_path / "data")
    first.lock()
    command = [sys.executable, "-c", LOCKED, str(tmp_path / "data")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "data_directory_in_use"
    with pytest.raises(Conflict):
        Installation(tmp_path / "data").lock()
    first.unlock()
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == ""


def test_the_secrets_are_made_once_and_are_the_owners_alone(tmp_path: Path) -> None:
    here = Installation(tmp_path)
    made = here.secrets()
    assert here.secrets() == made and len({made.gateway_credential, made.storage_secret, made.operator_password}) == 3
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["secrets.json"], "nothing half-written is left"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"gateway_credential": "x"}', b"\xff"])
def test_a_damaged_secrets_file_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secrets.json").write_bytes(content)
    for look in (Installation(tmp_path).check, Installation(tmp_path).secrets):
        with pytest.raises(Unavailable) as caught:
            look()
        assert caught.value.code == "corrupt_data_directory"
        assert str(tmp_path / "secrets.json") in caught.value.what.en and "备份" in caught.value.remedy.zh
    assert (tmp_path / "secrets.json").read_bytes() == content


def test_a_postgres_folder_without_a_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    with pytest.raises(Unavailable, match="postgres"):
        Installation(tmp_path).check()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable) as caught:
        Installation(tmp_path / "file" / "data").lock()
    assert caught.value.code == "data_directory" and "--data-dir" in caught.value.remedy.en


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    write_private(tmp_path / "f", b"one")
    before = (tmp_path / "f").stat().st_ino
    write_private(tmp_path / "f", b"two")
    assert (tmp_path / "f").read_bytes() == b"two" and (tmp_path / "f").stat().st_ino != before
    assert os.listdir(tmp_path) == ["f"]


def test_the_first_start_can_be_broken_off_and_repeated(database: Database) -> None:
    secrets = Secrets("gateway", "storage", "operator password")
    for _ in range(2):
        prepare(database, secrets)
    first = embedded_site(database, secrets, region="CN-AH", pue_milli=1420, has_credential=False)
    again = embedded_site(database, secrets, region="CN-AH", pue_milli=1420, has_credential=False)
    assert first.site_id == again.site_id and first.join_token != again.join_token
    assert open_embedded_site(database, first.site_id) is False, "it has not joined yet"
