"""Workloads: send them, follow them, fetch what they leave."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from zhisuan.sdk.archive import Archive, pack_file, pack_folder
from zhisuan.sdk.problems import not_reachable, unexpected
from zhisuan.sdk.progress import Tally, Watcher
from zhisuan.sdk.transfer import Transfer, in_parallel, inside
from zhisuan.sdk.transport import api_path
from zhisuan.sdk.types.tasks import TASK_TABLE, TaskEnd, read_tasks
from zhisuan.sdk.types.work import (
    Artefact,
    Blob,
    EndEvent,
    Launched,
    LogPart,
    Quote,
    Template,
    WatchEvent,
    Why,
    Workload,
    WorkloadDetail,
)
from zhisuan.sdk.watch import Watch

WATCH_SILENCE_SECONDS = 60.0
LOG_BYTES = 65_536


class Workloads(Transfer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._uploaded: dict[str, Blob] = {}

    def upload(self, archive: Archive) -> Blob:
        """Send an archive; the same bytes are sent once by this client and stored once by the platform."""
        known = self._uploaded.get(archive.sha256)
        if known is None:
            answer = self._send(
                "POST",
                api_path("blobs"),
                body=archive.open,
                headers={"Content-Type": "application/gzip", "X-Content-Sha256": archive.sha256},
                idempotency_key=f"blob-{archive.sha256}",
            )
            known = self._uploaded[archive.sha256] = self._read(Blob, answer)
        return known

    def upload_folder(self, folder: str | Path) -> Blob:
        """Pack and send a folder (``zhisuan.sdk.archive`` says what stays behind). Raises ``InvalidInput``, ``TooLarge``."""
        with pack_folder(Path(folder)) as archive:
            return self.upload(archive)

    def upload_file(self, file: str | Path, name: str) -> Blob:
        """Pack and send one file under ``name``, the last part of the path that it is to have at the work."""
        with pack_file(Path(file), name) as archive:
            return self.upload(archive)

    def quote(self, file: str | Path, *, project: str | None = None, envs: Mapping[str, str] | None = None) -> Quote:
        """What the workload file at this path would cost, and where it could run now."""
        from zhisuan.sdk.launchfile import read_file, with_envs

        return self._quote(with_envs(read_file(Path(file)), envs or {}), project)

    def _quote(self, text: str, project: str | None) -> Quote:
        return self._post(Quote, "quotes", json={"file": text, **({"project": project} if project else {})})

    def launch(
        self,
        file: str | Path,
        *,
        project: str | None = None,
        envs: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Launched:
        """Send the workload file at this path with the local folders and files it names (``zhisuan.sdk.launchfile``).

        The text goes unchanged unless ``envs`` sets variables in it; ``secrets`` go beside it and are never shown again. A file that the platform refuses is refused before
        anything is uploaded. Raises ``InvalidInput``, ``CannotFit``, ``PaymentRequired``, ``TooLarge`` …
        """
        from zhisuan.sdk.launchfile import local_sources, read_file, with_envs

        path = Path(file)
        text = with_envs(read_file(path), envs or {})
        sources = local_sources(text, path.resolve().parent)
        if sources.any:
            self._quote(text, project)
        mounts = {target: self.upload_folder(folder).id for target, folder in sources.mounts.items()}
        mounts |= {target: self.upload_file(file, PurePosixPath(target).name).id for target, file in sources.files.items()}
        workdir = self.upload_folder(sources.workdir).id if sources.workdir else None
        return self.submit(
            text, workdir_blob=workdir, mounts=mounts, files=list(sources.files), secrets=secrets, project=project,
            idempotency_key=idempotency_key,
        )  # fmt: skip

    def copy(
        self,
        workload_id: str,
        *,
        name: str | None = None,
        project: str | None = None,
        envs: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Launched:
        """A new workload from the file and the uploads of an earlier one, under another name or with other variables.

        Its secrets have to be given again: the platform keeps none longer than the work lives, and shows none.
        """
        from zhisuan.sdk.launchfile import with_envs, with_name

        found = self.workload(workload_id)
        text = with_envs(with_name(found.file, name), envs or {})
        given = found.uploads
        return self.submit(
            text, workdir_blob=given.workdir_blob, mounts=given.mounts, files=given.files, secrets=secrets,
            project=project or found.project_id, idempotency_key=idempotency_key,
        )  # fmt: skip

    def templates(self) -> Iterator[Template]:
        """Workload files to begin with."""
        return self._pages(Template, "templates")

    def submit(
        self,
        text: str,
        *,
        workdir_blob: str | None = None,
        mounts: Mapping[str, str] | None = None,
        files: Sequence[str] = (),
        secrets: Mapping[str, str] | None = None,
        project: str | None = None,
        idempotency_key: str | None = None,
    ) -> Launched:
        """Send the text of a workload file, with blobs that are already uploaded; ``files`` are the targets of ``mounts`` that
        are one file each."""
        body: dict[str, Any] = {"file": text}
        if workdir_blob:
            body["workdir_blob"] = workdir_blob
        if mounts:
            body["mounts"] = dict(mounts)
        if files:
            body["files"] = list(files)
        if secrets:
            body["secrets"] = dict(secrets)
        if project:
            body["project"] = project
        return self._post(Launched, "workloads", json=body, idempotency_key=idempotency_key)

    def workloads(self, *, state: str | None = None, kind: str | None = None) -> Iterator[Workload]:
        """Newest first."""
        return self._pages(Workload, "workloads", state=state, kind=kind)

    def workload(self, workload_id: str) -> WorkloadDetail:
        return self._get(WorkloadDetail, "workloads", workload_id)

    def cancel(self, workload_id: str, *, idempotency_key: str | None = None) -> Workload:
        return self._post(Workload, "workloads", workload_id, "cancel", idempotency_key=idempotency_key)

    def pause(self, workload_id: str, *, idempotency_key: str | None = None) -> Workload:
        """End its work with grace, keep its checkpoint; it costs nothing until it is resumed."""
        return self._post(Workload, "workloads", workload_id, "pause", idempotency_key=idempotency_key)

    def resume(self, workload_id: str, *, idempotency_key: str | None = None) -> Workload:
        """Let a paused one go on from its checkpoint, at the prices in force now."""
        return self._post(Workload, "workloads", workload_id, "resume", idempotency_key=idempotency_key)

    def restart(self, workload_id: str, *, idempotency_key: str | None = None) -> Workload:
        """Begin again from the last checkpoint: one that runs, is paused, has failed or was cancelled."""
        return self._post(Workload, "workloads", workload_id, "restart", idempotency_key=idempotency_key)

    def why(self, workload_id: str) -> Why:
        return self._get(Why, "workloads", workload_id, "why")

    def logs(self, workload_id: str, *, offset: int = 0, limit: int = LOG_BYTES) -> LogPart:
        """One part of the output, from byte ``offset``."""
        return self._get(LogPart, "workloads", workload_id, "logs", offset=offset, limit=limit)

    def log_parts(self, workload_id: str, *, offset: int = 0) -> Iterator[LogPart]:
        """All output there is now, part by part; the last part says whether more can follow."""
        while True:
            part = self.logs(workload_id, offset=offset)
            yield part
            if part.complete or part.next_offset <= offset:
                return
            offset = part.next_offset

    def watch(self, workload_id: str, *, offset: int = 0) -> Iterator[WatchEvent]:
        """Output and changes as they happen, until the workload is over; broken connections are made again.

        The last event is an ``EndEvent``. Raises ``NotReachable`` when the platform stays away, ``NotFound`` …
        """
        return Watch(
            lambda start: self._stream(api_path("workloads", workload_id, "watch"), {"offset": start}),
            lambda failures: self._pause(self._backoff(failures)),
            lambda cause: not_reachable(self.base_url, cause),
            self.retries,
        ).events(offset)

    def wait(self, workload_id: str) -> Workload:
        """The workload once it is over."""
        for event in self.watch(workload_id):
            if isinstance(event, EndEvent):
                return event.workload
        raise AssertionError("a watch ends with an EndEvent or raises")

    def _stream(self, path: str, params: dict[str, Any]) -> Iterator[bytes]:
        wait = httpx.Timeout(self._timeout, read=WATCH_SILENCE_SECONDS)
        with self._http.stream(
            "GET", path, params=params, headers={"Accept": "text/event-stream"}, timeout=wait
        ) as answer:
            if not answer.is_success:
                answer.read()
                raise self._error(answer)
            yield from answer.iter_bytes()

    def artefacts(self, workload_id: str, *, path: str | None = None) -> Iterator[Artefact]:
        """Newest first; with ``path`` only what was left under it, by each attempt."""
        return self._pages(Artefact, "workloads", workload_id, "artefacts", path=path)

    def tasks(self, workload_id: str) -> list[TaskEnd]:
        """Of an order of many tasks, how each that has finished has ended; empty until the work has, since the table is an artefact.

        Raises ``UnexpectedAnswer`` where the work itself has put something else in its place.
        """
        newest = next(self.artefacts(workload_id, path=TASK_TABLE), None)
        if newest is None:
            return []
        with TemporaryDirectory(prefix="zhisuan-") as folder, self.download(newest, folder).open(newline="") as file:
            try:
                return read_tasks(file)
            except (ValueError, KeyError, TypeError, csv.Error) as error:
                raise unexpected(f"artefact {newest.id}", 200, f"it is no table of tasks ({error})") from error

    def download(self, artefact: Artefact, folder: str | Path, *, tally: Tally | None = None) -> Path:
        """Fetch an artefact to its own path below ``folder`` and check its digest; a file already there and equal stays.

        The file appears whole or not at all; a download that was cut off goes on where it was, also in another process. Raises
        ``UnexpectedAnswer`` when the bytes are not those announced.
        """
        target = inside(Path(folder), artefact.path)
        where = api_path("artefacts", artefact.id, "content")
        self.fetch_file(where, {}, target, artefact.sha256, artefact.size_bytes, tally)
        return target

    def download_all(self, found: Sequence[Artefact], folder: str | Path, watcher: Watcher | None = None) -> list[Path]:
        """Fetch several artefacts, some at once."""
        tally = Tally(watcher, bytes_total=sum(a.size_bytes for a in found), files_total=len(found))
        in_parallel([partial(self.download, a, folder, tally=tally) for a in found], tally)
        return [inside(Path(folder), a.path) for a in found]
