"""promtool is taken from where it is, and from Debian's package only if it is nowhere."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import get_promtool


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Return the programs on PATH, by name; what is unpacked goes into a folder of the test."""
    found: dict[str, str] = {}
    monkeypatch.setattr("shutil.which", found.get)
    monkeypatch.setattr(get_promtool, "FOLDER", tmp_path / "tools")
    return found


def debian(monkeypatch: pytest.MonkeyPatch, returncode: int = 0) -> list[str]:
    """Replace Debian's programs; return the names of those that were run."""
    ran: list[str] = []

    def run(command: Sequence[str], cwd: str, **named: object) -> subprocess.CompletedProcess[str]:
        ran.append(command[0])
        if command[0] == "apt-get":
            (Path(cwd) / "prometheus_2.42_amd64.deb").write_text("a package")
        else:
            program = Path(cwd) / "unpacked" / "usr" / "bin" / "promtool"
            program.parent.mkdir(parents=True)
            program.write_text("a program")
        return subprocess.CompletedProcess(command, returncode, "", "no route to the mirror")

    monkeypatch.setattr("subprocess.run", run)
    return ran


def test_the_one_on_the_path_is_used(
    programs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs["promtool"] = "/usr/bin/promtool"
    ran = debian(monkeypatch)
    assert get_promtool.find() == Path("/usr/bin/promtool")
    assert ran == []


def test_the_package_is_downloaded_once_and_leaves_one_program(
    programs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs |= {"apt-get": "/usr/bin/apt-get", "dpkg-deb": "/usr/bin/dpkg-deb"}
    ran = debian(monkeypatch)
    for _ in range(2):
        assert get_promtool.find().read_text() == "a program"
    assert ran == ["apt-get", "dpkg-deb"]
    assert [path.name for path in get_promtool.FOLDER.iterdir()] == ["promtool"]


def test_a_system_without_debians_packages_is_told_what_to_install() -> None:
    with pytest.raises(get_promtool.NoPromtoolError, match="install Prometheus"):
        get_promtool.find()


def test_a_download_that_fails_says_why(
    programs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs |= {"apt-get": "/usr/bin/apt-get", "dpkg-deb": "/usr/bin/dpkg-deb"}
    debian(monkeypatch, returncode=100)
    with pytest.raises(get_promtool.NoPromtoolError, match="no route to the mirror"):
        get_promtool.find()
