"""Whether what a configuration names is there: files and directories, as a start would find them.

Owns what `check-config` looks at beside the file itself. Changes nothing, and makes nothing: a
log's directory may still be missing, but there must be a directory to make it in.

How it fails: `ConfigError` that names key and path.
"""

from pathlib import Path

from guard.config.cluster_files import check_cluster_files
from guard.config.endpoint import IPC_PREFIX
from guard.config.errors import ConfigError
from guard.config.evolving_keys import check_replaceable, load_host_key, load_plain_key
from guard.config.file import Config
from guard.config.keys import load_curve_key, load_keys
from guard.config.log_section import LogSection


def check_places(config: Config, key_file: Path | None = None) -> None:
    """Checks each path. `key_file`: the key that the start is given by hand. Raises ConfigError."""
    log = config.log
    check_directory("log.directory", Path(log.directory))
    if key_file is not None:
        _check_key(key_file, log)
    elif log.key_file is not None:
        try:
            _check_key(Path(log.key_file), log)
        except ConfigError as error:
            raise ConfigError(f"log.key_file: {error}") from error
    for old in log.old_key_files:
        try:
            load_keys([Path(old)])
        except ConfigError as error:
            raise ConfigError(f"log.old_key_files: {error}") from error
    if config.endpoints.curve_secret_key_file is not None:
        try:
            load_curve_key(Path(config.endpoints.curve_secret_key_file))
        except ConfigError as error:
            raise ConfigError(f"endpoints.curve_secret_key_file: {error}") from error
    if log.anchor_file is not None:
        _check_parent("log.anchor_file", Path(log.anchor_file))
    if config.cluster is not None:
        check_cluster_files(config.cluster)
    path = config.endpoints.orders.removeprefix(IPC_PREFIX)
    if path != config.endpoints.orders and not path.startswith("@"):
        _check_parent("endpoints.orders", Path(path))


def _check_key(path: Path, log: LogSection) -> None:
    if log.forward_secure:
        load_host_key(path).wipe()
        check_replaceable(path)
    else:
        load_plain_key(path)


def check_directory(name: str, path: Path) -> None:
    """Is it a directory, or could it be made? Raises ConfigError."""
    for place in (path, *path.parents):
        try:
            if place.is_dir():
                return
            is_there = place.is_symlink() or place.exists()
        except OSError as error:  # a component of its path is no directory, or may not be searched
            raise ConfigError(f"{name}: {path} cannot be looked at: {error.strerror}") from error
        if is_there:
            where = f"{path} is" if place == path else f"{path} cannot be made: {place} is"
            raise ConfigError(f"{name}: {where} no directory")


def _check_parent(name: str, path: Path) -> None:
    if path.is_dir():
        raise ConfigError(f"{name}: {path} is a directory; allowed: a file")
    if not path.parent.is_dir():
        raise ConfigError(f"{name}: {path}: {path.parent} is no directory")
