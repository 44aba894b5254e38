"""What comes in with a launch: the file, without the secrets that stood in it, and the uploads that belong to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.base.vault import Vault
from zhisuan.workload.reading.file import invalid_workload, parse_workload
from zhisuan.workload.reading.mounts import file_problem
from zhisuan.workload.reading.secrets import elsewhere, take_secrets, value_problems
from zhisuan.workload.spec import WorkloadSpec

CACHED_LENGTH_MAX = 4096
_parsed = lru_cache(maxsize=256)(parse_workload)
"""Small files are often the same again, and are read once; what was secret in them is out by then."""


@dataclass(frozen=True, slots=True)
class Order:
    """``text`` is what may be kept; ``secrets`` the values that must not be, but sealed."""

    spec: WorkloadSpec
    text: str
    secrets: dict[str, str]

    def fingerprints(self, vault: Vault) -> dict[str, str]:
        """What tells two orders apart that differ in a secret only."""
        return {name: vault.fingerprint(value) for name, value in self.secrets.items()}


def read_order(file: str, given: Mapping[str, str]) -> Order:
    """Raises ``InvalidInput``, ``TooLarge``; no message says a secret. What came beside the file goes before what is in it."""
    taken = take_secrets(file)
    if taken.problems:
        raise invalid_workload(list(taken.problems))
    spec = _parsed(taken.text) if len(taken.text) <= CACHED_LENGTH_MAX else parse_workload(taken.text)
    values = taken.values | dict(given)
    problems = list(value_problems(spec.secrets, values, spec.envs))
    problems += elsewhere(taken.text, given)
    if problems:
        raise invalid_workload(problems)
    return Order(replace(spec, secrets=tuple(sorted(values))), taken.text, values)


def check_uploads(
    spec: WorkloadSpec, *, workdir_blob: str | None, mounts: Mapping[str, str], files: Sequence[str]
) -> None:
    """Everything that the file names came along, and nothing else. Raises ``InvalidInput``."""
    unknown = [
        FieldProblem(f"mounts.{target}", Text("is not in the file's file_mounts", "不在文件的 file_mounts 中"))
        for target in dict.fromkeys((*mounts, *files))
        if target not in spec.file_mounts
    ]
    if unknown:
        raise InvalidInput(
            Text("An upload came for a place that the file does not name.", "上传的目标不在工作负载文件中。"),
            Text("Name it under file_mounts, or leave it out.", "请在 file_mounts 中声明，或去掉该上传。"),
            problems=unknown,
        )
    problems = [FieldProblem("workdir", Text("was not uploaded", "尚未上传"))] if spec.workdir and not workdir_blob else []
    problems += [
        FieldProblem(f"file_mounts.{target}", Text("was not uploaded", "尚未上传"))
        for target in spec.file_mounts
        if target not in mounts
    ]
    if problems:
        raise InvalidInput(
            Text(
                "The file names local paths whose contents did not come along.",
                "文件引用了本地路径，但其内容没有随请求上传。",
            ),
            Text(
                "Launch with `zhisuan launch`, or upload with POST /api/v1/blobs first.",
                "请用 zhisuan launch 启动，或先用 POST /api/v1/blobs 上传。",
            ),
            problems=problems,
        )
    places = [
        FieldProblem(f"file_mounts.{target}", wrong)
        for target in files
        if (wrong := file_problem(target)) is not None
    ]
    if places:
        raise invalid_workload(places)
