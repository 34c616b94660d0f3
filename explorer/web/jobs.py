"""Long work as processes of their own at low priority: in line, with progress, a time left, and a Cancel.

A job is one verb of the command line run on settings that were looked at here first, so what the page makes is what the
command makes. SPEED: a busy thread beside the stage costs it half its pictures; a niced process costs next to nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import OutputError, SettingError, StyloscopeError
from core.lock import Lock
from explorer.networks import name_of
from explorer.web.answers import visitor
from explorer.web.places import bare, without
from explorer.web.uploads import private_folder, sweep

__all__ = ["VERBS", "Job", "Jobs", "UnknownJobError", "Verb", "arguments", "start_process"]

_ROOT = Path(__file__).resolve().parents[2]
_LONGEST_TEXT = 50_000
_NICENESS = 12


class UnknownJobError(StyloscopeError):
    """No job has that name: it never had, or its time is over."""

    status = 404


@dataclass(frozen=True)
class Verb:
    """What a job may ask of a verb: `settings` go on its command line, `files` are values written beside it as JSON.

    `upload` is bytes that become its first argument, a file; a `watched` one shows in its folder what it has reached.
    Of one lane one job runs at a time; a map, which nobody waits for, does not hold up a film.
    """

    settings: frozenset[str]
    formats: tuple[str, ...]
    files: frozenset[str] = frozenset()
    upload: str | None = None
    watched: bool = False
    lane: str = "pictures"


_COMMON = frozenset({"checkpoint", "psi", "cutoff", "noise", "label", "grown"})

VERBS: Mapping[str, Verb] = {
    "interpolate": Verb(
        _COMMON | {"seeds", "steps", "space", "ease", "loop", "fps", "scale"},
        ("gif", "webp", "mp4", "png"),
        frozenset({"recipe", "recipes", "timeline"}),
    ),
    "mix": Verb(
        _COMMON | {"rows", "columns", "layers", "amount", "column_label", "title"}, ("png",), frozenset({"recipe"})
    ),
    "bilinear": Verb(_COMMON | {"seeds", "steps", "title"}, ("png",), frozenset({"recipe", "recipes"})),
    "compare": Verb(
        _COMMON | {"with", "with_precision", "precision", "seeds", "amplify", "signed", "title"},
        ("png",),
        frozenset({"recipe"}),
    ),
    "nearest": Verb(frozenset({"checkpoint", "data", "number"}), ("png",), frozenset({"recipe"}), lane="nearest"),
    "project": Verb(
        frozenset({"checkpoint", "label", "grown", "space", "steps", "seconds", "noise_maps"}),
        ("safetensors",),
        upload="source",
        watched=True,
        lane="projections",
    ),
    "map": Verb(_COMMON | {"samples", "method", "by_class", "color", "points", "pictures"}, ("csv",), lane="maps"),
}


def arguments(verb: str, settings: Mapping[str, Any], *, folder: Path) -> tuple[list[str], Path]:
    """Return the command line of a job and the file it will make inside `folder`, which exists.

    A value is always glued to its flag (`--seeds=3,9`), so that nothing a person types can be read as a flag.
    Raises SettingError naming the setting that is unknown or of the wrong kind.
    """
    if verb not in VERBS:
        raise SettingError("verb", verb, "one of " + ", ".join(VERBS))
    kind = VERBS[verb]
    given = {key: value for key, value in settings.items() if value is not None and value is not False}
    chosen = given.pop("format", kind.formats[0])
    if chosen not in kind.formats:
        raise SettingError("format", chosen, f"{verb} makes " + ", ".join(kind.formats))
    if "seeds" in given and "recipes" in given:
        raise SettingError("seeds", given["seeds"], "a walk has either seeds or recipes")
    line = [verb]
    for key, value in given.items():
        if key in kind.files:
            beside = folder / f"{key}.json"
            beside.write_text(json.dumps(value), encoding="utf-8")
            line.append(f"--{key}=@{beside}")
        elif key == kind.upload and isinstance(value, bytes):
            beside = folder / key
            beside.write_bytes(value)
            line.append(str(beside))
        elif key in kind.settings:
            line.append(_flag(key, value))
        else:
            raise SettingError(key, value, f"{verb} has no such setting; it has " + ", ".join(sorted(kind.settings)))
    made = folder / (verb if chosen == "png" and verb == "interpolate" else f"{verb}.{chosen}")
    watched = [f"--watch={folder}"] if kind.watched else []
    return [*line, *watched, f"--out={made}", "--progress"], made


def _flag(key: str, value: object) -> str:
    key = key.replace("_", "-")
    if value is True:
        return f"--{key}"
    if isinstance(value, list | tuple) and all(isinstance(one, int) for one in value):
        value = ",".join(str(one) for one in value)
    if not isinstance(value, str | int | float) or len(str(value)) > _LONGEST_TEXT or "\0" in str(value):
        raise SettingError(key, value, "a number or a short text")
    return f"--{key}={value}"


@dataclass
class Job:
    """One piece of long work. `state` is waiting, running, done, failed or cancelled; times are time.monotonic()."""

    id: str
    verb: str
    name: str
    folder: Path
    command: list[str]
    made: Path
    state: str = "waiting"
    done: int = 0
    total: int = 0
    error: str | None = None
    process: subprocess.Popen[str] | None = None
    started: tuple[float, int] | None = None
    touched: float = field(default_factory=time.monotonic)
    names: Mapping[str, str] = field(default_factory=dict)  # of absolute paths, as the page may read them
    visitor: str | None = None  # who asked for it, where that is another machine

    @property
    def alive(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("waiting", "running")

    @property
    def lane(self) -> str:
        """Which of the lines this job stands in."""
        return VERBS[self.verb].lane if self.verb in VERBS else ""

    def seconds_left(self) -> float | None:
        """The time left at the pace so far; None before there is a pace."""
        if self.state != "running" or self.started is None or self.done <= self.started[1]:
            return None
        began, first = self.started
        return round((time.monotonic() - began) / (self.done - first) * (self.total - self.done), 1)


_GONE = "there is no such job; its file may have been removed, make it once more"


class Jobs:
    """The queue of long work of one server, and the owner of every file made for a person to fetch. Thread-safe.

    At most `most` jobs wait and run at a time, at most half of them for any one other machine, known by its address.

    `places` are flags every verb gets (where networks lie); `hide` leaves out of an error where else things lie. Files
    lie in a private folder inside `parent` (None: the system's temporary folder), `keep` seconds after they were last
    asked about, and go when the server does; those of a server that was killed go when the next one begins.
    """

    def __init__(
        self,
        *,
        places: Sequence[str] = (),
        program: Sequence[str] = (sys.executable, "-P", "-m", "explorer"),
        most: int = 8,
        keep: float = 1800.0,
        parent: Path | None = None,
        hide: Callable[[str], str] = str,
    ) -> None:
        self._places = list(places)
        self._hide = hide
        self._program = list(program)
        self._most = most
        self._keep = keep
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._folder: Path | None = None
        self._parent = parent
        self._lock: Lock | None = None
        self._workers: dict[str, threading.Thread] = {}
        sweep(parent)

    def submit(self, verb: str, settings: Mapping[str, Any]) -> str:
        """Queue a verb and return the job's id, which cannot be guessed.

        Raises SettingError for settings that cannot be, OutputError when too many jobs wait.
        """
        with self._changed:
            self._sweep()
            who, alive, most = visitor(), [job for job in self._jobs.values() if job.alive], self._most
            share = max(1, most // 2)
            if who is not None and sum(job.visitor == who for job in alive) >= share:
                most = share
            if self._closed or len(alive) >= most:
                raise OutputError(f"{most} long jobs are under way already; wait for one, or cancel one")
            job = self._prepare(verb, settings)
            job.visitor = who
            self._jobs[job.id] = job
            lane = VERBS[verb].lane
            if lane not in self._workers:
                self._workers[lane] = threading.Thread(
                    target=self._work, args=(lane,), name=f"jobs {lane}", daemon=True
                )
                self._workers[lane].start()
            self._changed.notify_all()
            return job.id

    def _prepare(self, verb: str, settings: Mapping[str, Any]) -> Job:
        identity, folder = self._room()
        try:
            line, made = arguments(verb, settings, folder=folder)
        except StyloscopeError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        except OSError as wrong:
            shutil.rmtree(folder, ignore_errors=True)
            raise _no_place(wrong) from wrong
        network = str(settings.get("checkpoint") or "styloscope")
        network = name_of(Path(network)) if os.path.isabs(network) else network
        stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in network)
        name = f"{stem[:60].strip('-')}-{verb}{made.suffix or '.zip'}"
        command = [*self._program, *line[:1], *self._places, *line[1:]]
        return Job(
            id=identity, verb=verb, name=name, folder=folder, command=command, made=made,
            names=_names([*settings.values(), *self._places], folder=folder),
        )  # fmt: skip

    def touch(self, folder: Path) -> None:
        """Say that a folder of `hold` is still being written to."""
        with self._changed:
            job = self._jobs.get(folder.name)
            if job is not None:
                job.touched = time.monotonic()

    def hold(self) -> Path:
        """Return a new empty folder that lives as long as the files of a job."""
        with self._changed:
            self._sweep()
            identity, folder = self._room()
            self._jobs[identity] = Job(identity, "hold", folder.name, folder, [], folder, state="done")
            return folder

    def _room(self) -> tuple[str, Path]:
        identity = secrets.token_urlsafe(18)
        try:
            if self._folder is None or not self._folder.is_dir():  # systems clear their temporary folders now and then
                if self._lock is not None:
                    self._lock.release()
                self._folder, self._lock = private_folder(self._parent)
            folder = self._folder / identity
            folder.mkdir()
        except OSError as wrong:
            raise _no_place(wrong) from wrong
        return identity, folder

    def status(self, identity: str) -> dict[str, Any]:
        """Return state, done, total, seconds_left, error, how many jobs are `ahead`, and the name of the file."""
        with self._changed:
            job = self._job(identity)
            job.touched = time.monotonic()
            ahead = 0
            if job.state == "waiting":
                for other in self._jobs.values():
                    if other is job:
                        break
                    ahead += other.lane == job.lane and other.state in ("waiting", "running")
            return {
                "state": job.state,
                "done": job.done,
                "total": job.total,
                "seconds_left": job.seconds_left(),
                "error": job.error,
                "ahead": ahead,
                "name": job.name,
            }

    def file(self, identity: str) -> Path:
        """Return what a job has made (a folder of frames as one zip)."""
        with self._changed:
            job = self._job(identity)
            if job.state != "done":
                raise StyloscopeError(job.error or f"this job is {job.state}; its file is there once it is done")
            if not job.made.exists():
                raise UnknownJobError(_GONE)
            return job.made

    def folder(self, identity: str) -> Path:
        """Return the private folder of a job."""
        with self._changed:
            return self._job(identity).folder

    def cancel(self, identity: str) -> None:
        """Stop a job within a second, or forget one that has ended; either way its files go."""
        with self._changed:
            job = self._job(identity)
            if job.alive:
                job.state, job.error = "cancelled", "cancelled"
            else:
                del self._jobs[identity]
            process = job.process
            self._changed.notify_all()
        if process is not None:
            _stop(process)
        shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """Stop everything and remove every file; called when the server goes down."""
        with self._changed:
            self._closed = True
            processes = [job.process for job in self._jobs.values() if job.state == "running" and job.process]
            for job in self._jobs.values():
                if job.alive:
                    job.state, job.error = "cancelled", "the server is going down"
            self._changed.notify_all()
        for process in processes:
            _stop(process)
        for worker in self._workers.values():
            worker.join(timeout=2)
        if self._folder is not None and self._lock is not None:
            self._lock.release()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _job(self, identity: str) -> Job:
        if identity not in self._jobs:
            raise UnknownJobError(_GONE)
        return self._jobs[identity]

    def _sweep(self) -> None:
        old = time.monotonic() - self._keep
        for job in list(self._jobs.values()):
            if not job.alive and job.touched < old:
                shutil.rmtree(job.folder, ignore_errors=True)
                del self._jobs[job.id]

    def _work(self, lane: str) -> None:
        while True:
            with self._changed:
                waiting = (one for one in self._jobs.values() if one.state == "waiting" and one.lane == lane)
                job = next(waiting, None)
                if self._closed:
                    return
                if job is None:
                    self._changed.wait(timeout=60)
                    self._sweep()
                    continue
                try:
                    job.process = start_process(job.command, folder=job.folder)
                    job.state = "running"
                except OSError as wrong:
                    job.state, job.error = "failed", f"the job could not be started ({wrong.strerror or wrong})"
                    continue
            try:
                said = self._listen(job)
            except (OSError, ValueError) as wrong:  # whatever it said, the lane goes on with the next job
                said = f"error: the job cannot be followed ({wrong})"
                job.process.kill()
                job.process.wait()
            self._finish(job, said=said)

    def _listen(self, job: Job) -> str:
        """Follow the progress lines of a running job; return the last other line it said."""
        said = ""
        assert job.process is not None and job.process.stderr is not None
        for line in job.process.stderr:
            step = _progress(line)
            if step is None:
                said = said if said.startswith("error: ") else line.strip() or said
                continue
            with self._changed:
                job.done, job.total = step
                if job.started is None:
                    job.started = (time.monotonic(), job.done)
        job.process.wait()
        return said

    def _finish(self, job: Job, *, said: str) -> None:
        assert job.process is not None
        error = None
        if job.process.returncode != 0 or not job.made.exists():
            error = said.removeprefix("error: ") or f"the job ended with status {job.process.returncode}"
            # First what has a name of its own; what is left may be the last line of a program that broke down.
            error = bare(self._hide(without(error, job.names)))
        elif job.made.is_dir():
            try:
                job.made = _zipped(job.made)
            except OSError as wrong:  # a full disk, or a cancel that has taken the folder away
                error = f"the zip could not be made ({wrong.strerror or wrong}); free space and ask once more"
        with self._changed:
            job.touched = time.monotonic()
            if job.state == "running":
                job.state, job.error = ("failed", error) if error else ("done", None)
                job.done = job.total if not error else job.done
            self._changed.notify_all()
        if job.state != "done":
            shutil.rmtree(job.folder, ignore_errors=True)


def _names(told: Iterable[object], *, folder: Path) -> dict[str, str]:
    """What absolute paths of a command are called where anybody may read it."""
    words = [one.partition("=")[2] if one.startswith("--") else one for one in told if isinstance(one, str)]
    paths = {word for word in words if os.path.isabs(word)}
    names = {path: name_of(Path(path)) if path.endswith(".safetensors") else Path(path).name for path in paths}
    return {**names, str(folder): "the job's folder"}


def _no_place(wrong: OSError) -> OutputError:
    return OutputError(f"the temporary folder cannot be written ({wrong.strerror or wrong}); free space there")


def start_process(command: Sequence[str], *, folder: Path | None, **more: str) -> subprocess.Popen[str]:
    """Start `command` in `folder` at low priority, in a group of its own, with this project importable from anywhere.

    `more` are variables of its environment; what it says on stderr can be read, the rest is dropped. Raises OSError.
    """
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **more}
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.BELOW_NORMAL_PRIORITY_CLASS | subprocess.CREATE_NEW_PROCESS_GROUP
    process = subprocess.Popen(
        list(command),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        creationflags=flags,
        start_new_session=sys.platform != "win32",
    )
    if sys.platform != "win32":
        try:
            os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)
        except ProcessLookupError:
            process.poll()
    return process


def _stop(process: subprocess.Popen[str]) -> None:
    """Ask the process to end; after half a second make it end, with whatever it has started."""
    process.terminate()
    try:
        process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def _progress(line: str) -> tuple[int, int] | None:
    try:
        step = json.loads(line)
        return int(step["done"]), int(step["total"])
    except (ValueError, TypeError, KeyError):
        return None


def _zipped(folder: Path) -> Path:
    """Put the files of a folder into one zip beside it; pictures are stored as they are."""
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    shutil.rmtree(folder, ignore_errors=True)
    return target
