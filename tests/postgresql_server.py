"""A real PostgreSQL from the system's packages, in a folder of its own, on the loopback address."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgresql_server() -> Iterator[str]:
    """The URL of an empty database on a free loopback port; skips where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    folder, user = Path(tempfile.mkdtemp(prefix="postgresql-")), _user()
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    try:
        if user:
            shutil.chown(folder, user)
        data = str(folder / "data")
        subprocess.run(
            [found[-1] / "initdb", "-A", "trust", "-U", "tuner", "-D", data],
            check=True,
            capture_output=True,
            user=user,
            cwd="/",
        )
        options = [
            "-p",
            str(port),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            f"unix_socket_directories={folder}",
            "-c",
            "fsync=off",
        ]
        log = (folder / "log").open("w")
        server = subprocess.Popen(
            [found[-1] / "postgres", "-D", data, *options], stdout=log, stderr=log, user=user, cwd="/"
        )
        try:
            _await_ready(found[-1], port)
            yield f"postgresql://tuner@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # ends sessions too
            server.wait(120)
    finally:
        shutil.rmtree(folder)


def new_database(url: str) -> str:
    """The URL of another empty database of the same server."""
    psycopg, name = pytest.importorskip("psycopg"), f"d{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{url.rpartition('/')[0]}/{name}"


def _user() -> str | None:
    """PostgreSQL refuses to run as root: then it is the package's own user."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")


def _await_ready(binaries: Path, port: int) -> None:
    for _ in range(1200):
        if not subprocess.run(
            [binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True
        ).returncode:
            return
        time.sleep(0.1)
    pytest.fail("PostgreSQL did not start within 120 s")
