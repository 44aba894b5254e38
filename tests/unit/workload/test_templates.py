"""The templates that are shipped are good workload files, each told in both languages."""

import ast
import subprocess

import pytest

from zhisuan.workload.reading.file import parse_workload
from zhisuan.workload.template_files import FOLDER, Template, templates


@pytest.mark.parametrize("template", templates(), ids=lambda t: t.name)
def test_a_template_is_a_workload_file_under_its_own_name(template: Template) -> None:
    spec = parse_workload(template.file)
    assert spec.name == template.name
    assert spec.max_seconds or spec.service, "a forgotten job ends by itself"
    assert all(text.en and any("\u4e00" <= ch <= "\u9fff" for ch in text.zh) for text in (template.title, template.about))
    checked = subprocess.run(["bash", "-n"], input=spec.run, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    for part in spec.run.split("<<'PYTHON'\n")[1:]:
        ast.parse(part.split("\nPYTHON\n")[0])


def test_every_file_of_the_folder_is_told_of() -> None:
    from importlib.resources import files

    there = {f.name for f in (files("zhisuan.workload") / FOLDER).iterdir()}
    assert there == {f"{t.name}.yaml" for t in templates()}
