# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Buckets, where a path is a URL: gs://, s3://, az://, memory://, file://.

`fetch` brings an input file or folder to this machine, `Place` reads and
writes the files below a URL. fsspec and the package behind it find the
credentials where they always are; a URL may hold none.
"""

import concurrent.futures
import hashlib
import logging
import os
import pathlib
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from prefjax.core import errors, private

SCRATCH = "PREFJAX_SCRATCH"
_DEFAULT = "~/.cache/prefjax/storage"

# Scheme -> the pip package that fsspec needs for it. Only these: others of
# fsspec run code that a URL names, or open connections nobody asked for.
_PACKAGES = {
  "file": "fsspec",
  "memory": "fsspec",
  "gs": "gcsfs",
  "gcs": "gcsfs",
  "s3": "s3fs",
  "s3a": "s3fs",
  "az": "adlfs",
  "abfs": "adlfs",
  "abfss": "adlfs",
}
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_PASSWORD = re.compile(r"[^/]*:[^/]*@")
_SECRET = re.compile(
  r"(?i)((?:token|key|secret|sig|signature|password|credential|authorization)"
  r"[\w-]*[\"']?\s*[=:]\s*)(?:bearer\s+)?\S+"
)
# What tells two contents of one name apart, as the file systems call it.
_VERSIONS = (
  "size",
  "etag",
  "ETag",
  "generation",
  "md5Hash",
  "crc32c",
  "content_settings",
  "mtime",
  "updated",
  "LastModified",
  "last_modified",
  "created",
)
_PART = re.compile(r"\.part-[0-9a-f]{8}")
_WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before another try
_WORKERS = 8

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


def is_remote(path: str | os.PathLike) -> bool:
  """Whether a path is a URL of a file system."""
  return bool(_URL.match(os.fspath(path)))


def scratch() -> pathlib.Path:
  """Folder of this machine for copies; made with mode 0700.

  PREFJAX_SCRATCH, else ~/.cache/prefjax/storage.

  Raises:
    ConfigError: it cannot be made.
  """
  folder = pathlib.Path(os.environ.get(SCRATCH) or _DEFAULT).expanduser()
  try:
    private.make_folder(folder)
  except OSError as error:
    raise errors.ConfigError(
      f"{SCRATCH}: {folder} cannot be used ({error.strerror}); name a writable"
      " folder"
    ) from None
  return folder


def digest(text: str) -> str:
  """A name for a text that may hold anything."""
  return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[
    :32
  ]


def check(url: str, key: str) -> str:
  """Checks that a URL may be used, and returns its scheme.

  Raises:
    ConfigError: names the key, without the URL where that may hold a secret.
  """
  match = _URL.match(url)
  scheme = match[1].lower() if match else ""
  if scheme not in _PACKAGES:
    raise errors.ConfigError(
      f"{key}: the scheme {scheme[:40]!r} is unknown"
      f"{errors.nearest(scheme, _PACKAGES)}; known are"
      f" {', '.join(f'{s}://' for s in _PACKAGES)}"
    )
  rest = match[2]
  if _PASSWORD.match(rest) or "?" in rest or "#" in rest or "::" in rest:
    raise errors.ConfigError(
      f"{key}: a {scheme}:// URL may hold no password, '?', '#' or '::'; give"
      " credentials the way that the cloud's own tools take them"
    )
  if ".." in rest.split("/") or not rest.isprintable():
    raise errors.ConfigError(f"{key}: a {scheme}:// URL may hold no '..'")
  if not rest.strip("/"):
    raise errors.ConfigError(f"{key}: {scheme}:// names no bucket or folder")
  return scheme


def _file_system(scheme: str, key: str) -> Any:
  package = _PACKAGES[scheme]
  try:
    import fsspec

    return fsspec.filesystem(scheme)
  except ImportError:
    raise errors.ConfigError(
      f"{key}: {scheme}:// needs the package {package}; run pip install"
      f" {package}"
    ) from None
  except Exception as error:  # no credentials, no project: as the cloud says
    raise errors.ConfigError(
      f"{key}: {scheme}:// cannot be used ({reason(error)})"
    ) from None


def reason(error: BaseException) -> str:
  """One line about an error of another package, without secrets."""
  text = str(error).strip().partition("\n")[0]
  text = _SECRET.sub(r"\1...", text)[:200]
  name = type(error).__name__
  return f"{name}: {text}" if text else name


class Place:
  """The files below a URL, by their names relative to it.

  Every call is tried a few times; then it raises StorageError. A file that is
  not there is a FileNotFoundError at once.

  Args:
    url: of a folder or a file.
    key: the flag or key that named it, for messages.

  Raises:
    ConfigError: the scheme is unknown or its package is not installed.
  """

  def __init__(self, url: str, key: str):
    self.url = url.rstrip("/")
    self._scheme = check(url, key)
    self._key = key
    self._fs = _file_system(self._scheme, key)
    self._root = str(self._fs._strip_protocol(self.url)).rstrip("/")

  def files(self, below: str = "") -> dict[str, dict[str, Any]]:
    """name -> what is known of it; {} where nothing is.

    The name of the URL itself, where that is a file, is "".

    Raises:
      StorageError: it cannot be listed, or a name leads out of the folder.
    """
    root = self._path(below) if below else self._root

    def find() -> Mapping[str, dict[str, Any]]:
      self._fs.invalidate_cache()
      try:
        return self._fs.find(root, detail=True)
      except FileNotFoundError:
        return {}

    found = {}
    for path, info in self.tried("listing", find).items():
      if info.get("type") == "directory" or path.endswith("/"):
        continue
      if path != self._root and not path.startswith(f"{self._root}/"):
        continue
      name = path[len(self._root) + 1 :]
      self._check_name(name)
      found[name] = info
    return found

  def get(self, name: str, target: pathlib.Path) -> None:
    """Brings a file here."""
    source = self._path(name)
    self.tried(
      f"reading {name}", lambda: self._fs.get_file(source, str(target))
    )

  def put(self, source: pathlib.Path, name: str) -> None:
    """Writes a file; it is there as a whole or as it was before.

    Raises:
      FileNotFoundError: the source is gone.
    """
    final = self._path(name)

    def write() -> None:
      if self._scheme != "file":
        self._fs.put_file(str(source), final)
        return
      private.make_folder(pathlib.Path(final).parent)
      part = f"{final}.part-{secrets.token_hex(4)}"
      self._fs.put_file(str(source), part)
      os.replace(part, final)

    try:
      self.tried(f"writing {name}", write)
    except FileNotFoundError:
      if not source.exists():
        raise
      raise errors.StorageError(
        f"{self.url}: {name} cannot be written: there is no such bucket"
      ) from None

  def read(self, name: str) -> bytes | None:
    """Content of a small file, None where there is none."""

    def cat() -> bytes:
      self._fs.invalidate_cache()
      return self._fs.cat_file(self._path(name))

    try:
      return self.tried(f"reading {name}", cat)
    except FileNotFoundError:
      return None

  def remove(self, name: str) -> None:
    """Removes a file that may be gone already."""
    try:
      self.tried(f"removing {name}", lambda: self._fs.rm_file(self._path(name)))
    except FileNotFoundError:
      pass

  def tried(self, what: str, work: Callable[[], _T]) -> _T:
    """What `work` returns, at the latest try.

    Raises:
      FileNotFoundError: at once.
      StorageError: it failed every time, or is not allowed.
    """
    for wait in (*_WAITS, None):
      try:
        return work()
      except (FileNotFoundError, errors.PrefjaxError):
        raise
      except Exception as error:
        said = reason(error)
        if wait is None or isinstance(error, PermissionError):
          raise errors.StorageError(
            f"{self.url}: {what} failed ({said}); check the bucket, the"
            " permissions and the connection, then start the same command again"
          ) from None
        _LOG.warning(
          "%s: %s failed (%s), again in %g s", self.url, what, said, wait
        )
        time.sleep(wait)
    raise AssertionError

  def _path(self, name: str) -> str:
    if not name:
      return self._root
    self._check_name(name)
    return f"{self._root}/{name}"

  def _check_name(self, name: str) -> None:
    parts = name.split("/") if name else []
    if any(p in ("", ".", "..") or "\0" in p or "\\" in p for p in parts):
      raise errors.StorageError(
        f"{self.url}: holds a name that is no relative path ({name[:80]!r});"
        " remove it"
      )


def is_part(name: str) -> bool:
  """Whether a file is what a killed process left of a write."""
  return bool(_PART.fullmatch(name[-14:])) and len(name) > 14


def in_parallel(work: Callable[[str], Any], names: Iterable[str]) -> None:
  """Calls `work` with each name; raises the first error of any."""
  with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
    jobs = [pool.submit(work, name) for name in names]
    try:
      for job in jobs:
        job.result()
    except BaseException:
      for job in jobs:
        job.cancel()
      raise


def download(
  place: Place, names: Iterable[str], folder: pathlib.Path, base: str = ""
) -> None:
  """Brings files to a folder, with their names; "" is called `base`."""
  targets = {name: folder / (name or base) for name in names}
  for parent in {target.parent for target in targets.values()}:
    private.make_folder(parent)
  in_parallel(lambda name: place.get(name, targets[name]), targets)


# --- inputs ------------------------------------------------------------------


def local(path: str, key: str) -> str:
  """The path itself, or that of a copy where it is a URL; see `fetch`."""
  return str(fetch(path, key)) if is_remote(path) else path


def fetch(url: str, key: str) -> pathlib.Path:
  """Path of a copy of a remote file or folder on this machine.

  A copy is kept for each content, known by size and time or entity tag, so
  what did not change is brought once.

  Args:
    url: of a file or folder.
    key: the flag or key that named it, for messages.

  Raises:
    ConfigError: the scheme is unknown or its package is not installed.
    DataError: nothing is there, or it changes all the time.
    StorageError: it cannot be read.
  """
  place = Place(url, key)
  base = re.sub(r"[^\w.+-]", "_", place.url.rpartition("/")[2])
  home = scratch() / "inputs" / digest(place.url)
  found = place.files()
  for _ in range(3):
    found = {n: i for n, i in found.items() if not is_part(n)}
    if not found:
      raise errors.DataError(f"{key}: {url}: nothing is there")
    version = _version(found)
    target = home / version / base
    if _is_whole(target, found):
      return target
    private.make_folder(home)
    part = home / f".{version}-{secrets.token_hex(8)}"
    try:
      folder = part if "" in found else part / base
      download(place, found, folder, base)
      again = place.files()
      if _version(again) == version and _is_whole(part / base, found):
        _publish(part, home / version)
        return target
      found = again
    except FileNotFoundError:
      found = place.files()
    finally:
      shutil.rmtree(part, ignore_errors=True)
  raise errors.DataError(
    f"{key}: {url}: changes while it is being read; start again when whoever"
    " writes it is done"
  )


def _version(found: Mapping[str, Mapping[str, Any]]) -> str:
  facts = [
    (name, [(k, str(info[k])) for k in _VERSIONS if k in info])
    for name, info in sorted(found.items())
    if not is_part(name)
  ]
  return digest(repr(facts))


def _is_whole(
  target: pathlib.Path, found: Mapping[str, Mapping[str, Any]]
) -> bool:
  """Whether a copy has all files, with their sizes."""
  try:
    return all(
      (target / name if name else target).stat().st_size == info["size"]
      for name, info in found.items()
    )
  except (FileNotFoundError, NotADirectoryError):
    return False


def _publish(part: pathlib.Path, final: pathlib.Path) -> None:
  """Moves a copy into place; another process may have been faster."""
  try:
    os.rename(part, final)
  except OSError:
    # Not ours to judge: a damaged copy goes, a whole one is the same.
    aside = part.with_name(f"{part.name}.old")
    os.rename(final, aside)
    os.rename(part, final)
    shutil.rmtree(aside, ignore_errors=True)
