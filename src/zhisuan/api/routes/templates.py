"""Workload files to begin with."""

from typing import Annotated

from fastapi import APIRouter, Depends

from zhisuan.api.auth import Allow
from zhisuan.api.paging import Cursor, Limit
from zhisuan.api.schemas import Answer, PageOf, Words
from zhisuan.base.paging import decode_cursor, page_of
from zhisuan.workload.template_files import templates

router = APIRouter(tags=["workloads"])
Reader = Annotated[object, Depends(Allow("org:workload:read", "platform:workload:read"))]


class TemplateView(Answer):
    name: str
    title: Words
    about: Words
    file: str


@router.get("/templates")
def list_templates(caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> PageOf[TemplateView]:
    """In the order in which they are shown."""
    after = decode_cursor(cursor)
    names = [x.name for x in templates()]
    rest = templates()[names.index(after) + 1 if after in names else 0 :]
    page = page_of(rest[: limit + 1], limit, lambda x: x.name)
    items = [
        TemplateView(name=x.name, title=Words(**x.title.as_dict()), about=Words(**x.about.as_dict()), file=x.file)
        for x in page.items
    ]
    return PageOf[TemplateView](items=items, next_cursor=page.next_cursor)
