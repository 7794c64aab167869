"""The files of `[cluster]`, as `check-config` sees them before a start would."""

from pathlib import Path

import msgspec
import pytest

from guard.config.cluster_files import check_cluster_files
from guard.config.cluster_section import ClusterSection
from guard.config.errors import ConfigError


def section_with(**files: str) -> ClusterSection:
    terms = {"hosts": ["/run/x"], "log": "x", "standby_names": ["b"], **files}
    return msgspec.convert(terms, ClusterSection)


def refused(**files: str) -> str:
    with pytest.raises(ConfigError) as found:
        check_cluster_files(section_with(**files))
    return str(found.value)


def test_a_password_file_must_be_there_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "pass"
    assert refused(password_file=str(path)) == (
        f"cluster.password_file: {path} cannot be read: No such file or directory"
    )
    path.write_text("*:*:*:*:secret\n")
    path.chmod(0o640)
    assert f"{path} has mode 0640" in refused(password_file=str(path))
    path.chmod(0o600)
    check_cluster_files(section_with(password_file=str(path)))


def test_certificates_must_be_certificates(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    assert f"cluster.tls_root_file: {path} cannot be used (No such file" in refused(
        tls_root_file=str(path)
    )
    path.write_text("no certificate")
    said = refused(tls_root_file=str(path))
    assert said.startswith(f"cluster.tls_root_file: {path} cannot be used (")
    assert said.endswith("allowed: PEM of certificates")
