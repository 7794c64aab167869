"""The files that `[cluster]` names: what a session with PostgreSQL is made with.

Owns that each is there and is what it must be; `check-config` looks before a start does.

How it fails: `ConfigError` that names key and path.
"""

import ssl
import stat
from pathlib import Path
from typing import Final

from guard.config.cluster_section import ClusterSection
from guard.config.errors import ConfigError

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def check_cluster_files(cluster: ClusterSection) -> None:
    """Checks each file. Raises ConfigError."""
    if cluster.password_file is not None:
        _check_password_file(Path(cluster.password_file))
    tls_context(cluster)


def tls_context(cluster: ClusterSection) -> ssl.SSLContext | None:
    """Certificates and names are checked; None where the cluster is on this machine.

    Raises ConfigError.
    """
    if cluster.tls_root_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=cluster.tls_root_file)
    except OSError as error:
        raise _bad("tls_root_file", cluster.tls_root_file, error, "certificates") from error
    certificate, key = cluster.tls_certificate_file, cluster.tls_key_file
    if certificate is not None and key is not None:
        _check_readable("tls_certificate_file", certificate)
        _check_readable("tls_key_file", key)
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:
            what = f"a certificate, and {key} its key"
            raise _bad("tls_certificate_file", certificate, error, what) from error
    return context


def _check_password_file(path: Path) -> None:
    _check_readable("password_file", str(path))
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        raise ConfigError(
            f"cluster.password_file: {path} has mode {mode:04o}, and PostgreSQL's clients pass "
            "over what others may read; allowed: 0600 or less"
        )


def _check_readable(name: str, path: str) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise ConfigError(f"cluster.{name}: {path} cannot be read: {error.strerror}") from error


def _bad(name: str, path: str, error: OSError, allowed: str) -> ConfigError:
    """What is wrong with a file of certificates, which the ssl library says in words of its own."""
    said = error.reason if isinstance(error, ssl.SSLError) and error.reason else error.strerror
    return ConfigError(f"cluster.{name}: {path} cannot be used ({said}); allowed: PEM of {allowed}")
