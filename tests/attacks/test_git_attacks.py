"""Attacks 34, 35 and 42 by Git: hostile names, addresses, and commits that no branch leads to."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.errors import LaunchpinError, NotFoundError, RefusedError
from gitops.forge.address import check_clone_url, web_address
from gitops.forge.mirror import GitMirror
from gitops.records import Repository, Role
from tests.attacks.git_rig import is_canary_absent, mirror, origin, repository, server
from tests.support.githttp import Origin, git

__all__ = ["mirror", "origin", "repository", "server"]

# Each of these is a branch name that git itself accepts.
HOSTILE_NAMES = [
    "$(touch${IFS}canary)",
    "`touch${IFS}canary`",
    "a;touch${IFS}canary",
    "a|touch${IFS}canary",
    "a&&touch${IFS}canary",
    "-x",
    "--upload-pack=touch${IFS}canary",
    "q'q",
    'q"q',
    "<script>alert(1)</script>",
    "0123456789012345678901234567890123456789",
    "@",
    "%2e%2e",
    "refs/heads/main",
]


# ---------------------------------------------------------------- 34: names


def test_attack_34_hostile_branch_names_are_names_and_nothing_more(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    first = origin.commit({"a": b"0"})
    commits = {
        f"refs/heads/{name}": origin.commit({"a": name.encode()}, branch=name, parents=(first,))
        for name in HOSTILE_NAMES
    }

    mirror.fetch(repository)

    assert mirror.heads(repository) == {**commits, "refs/heads/main": first}
    for number, (name, commit) in enumerate(zip(HOSTILE_NAMES, commits.values(), strict=True)):
        assert mirror.read(repository, commit, "a") == name.encode()
        assert mirror.changed_paths(repository, first, commit) == ["a"]
        mirror.checkout(repository, commit, tmp_path / f"into-{number}")
    assert is_canary_absent(tmp_path)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_attack_34_hostile_names_are_no_commits(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path, name: str
) -> None:
    origin.commit({"a": b"0"})
    origin.commit({"a": b"1"}, branch=name)
    mirror.fetch(repository)

    with pytest.raises(NotFoundError):
        mirror.files(repository, name)
    with pytest.raises(RefusedError):
        mirror.checkout(repository, name, tmp_path / "into")

    assert not (tmp_path / "into").exists()
    assert is_canary_absent(tmp_path)


def test_attack_34_hostile_file_names_are_files(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    names = [name for name in HOSTILE_NAMES if "/" not in name]
    head = origin.commit({name: name.encode() for name in names})

    mirror.checkout(repository, head, tmp_path / "into")

    assert sorted(os.listdir(tmp_path / "into")) == sorted(names)  # noqa: PTH208 - hidden ones count
    assert all(mirror.read(repository, head, name) == name.encode() for name in names)


# ---------------------------------------------------------------- 35: addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/acme/iris.git",
        "http://127.0.0.1.example.com/acme/iris.git",
        "http://10.0.0.1/acme/iris.git",
        "http://0.0.0.0/acme/iris.git",
        "ext::sh -c touch% canary",
        "ext::touch canary",
        "file:///etc",
        "/etc",
        "../origins/acme/iris.git",
        "ssh://-oProxyCommand=touch${IFS}canary/x",
        "ssh://git@github.com/acme/iris.git",
        "git@github.com:acme/iris.git",
        "git://github.com/acme/iris.git",
        "--upload-pack=touch canary",
        "-u",
        "",
        "https://",
        "https://github.com",
        "https://github.com/",
        "https://user:secret@github.com/acme/iris.git",
        "https://github.com@evil.example/acme/iris.git",
        "https://evil.example/acme/iris.git",
        "https://github.com:444/acme/iris.git",
        "https://github.com:0/acme/iris.git",
        "https://github.com:x/acme/iris.git",
        "https://github.com/acme/../../x.git",
        "https://github.com/acme/iris.git?x=y",
        "https://github.com/acme/iris.git#x",
        "https://github.com/acme/iris.git\n--upload-pack=x",
        "https://github.com/acme/$(touch canary).git",
        "https://github.com\\@evil.example/acme/iris.git",
        "https://g\u0131thub.com/acme/iris.git",
        "HTTPS://[::1/acme/iris.git",
        "https::sh",
    ],
)
def test_attack_35_other_addresses_are_refused_before_git_sees_them(tmp_path: Path, url: str) -> None:
    mirror = GitMirror(tmp_path / "mirrors", forge_api="https://api.github.com", token="t")
    repository = Repository(id=7, full_name="acme/iris", role=Role.MODEL, clone_url=url)

    for ask in (
        lambda: mirror.fetch(repository),
        lambda: mirror.heads(repository),
        lambda: mirror.checkout(repository, "1" * 40, tmp_path / "into"),
    ):
        with pytest.raises(RefusedError) as caught:
            ask()
        assert caught.value.reason == "url_scheme"
        assert "secret" not in str(caught.value)

    assert os.listdir(tmp_path / "mirrors") == [".home"]  # noqa: PTH208 - hidden ones count
    assert is_canary_absent(tmp_path)


def test_attack_35_the_forge_of_a_setting_must_be_https_or_on_this_machine() -> None:
    assert web_address("https://api.github.com") == "https://github.com"
    assert web_address("https://ghe.example:8443/api/v3") == "https://ghe.example:8443"
    assert web_address("http://127.0.0.1:3000/api/v3") == "http://127.0.0.1:3000"
    assert web_address("http://[::1]:3000/api/v3") == "http://[::1]:3000"
    assert check_clone_url("http://[::1]:3000/a/b.git", web="http://[::1]:3000") == "http://[::1]:3000/a/b.git"
    assert check_clone_url("https://github.com/a/b.git", web="https://github.com") == "https://github.com/a/b.git"
    for setting in ("http://ghe.example/api/v3", "file:///etc", "ghe.example", ""):
        with pytest.raises(RefusedError):
            web_address(setting)


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_attack_35_whatever_is_written_is_refused_or_at_the_forge(text: str) -> None:
    for url in (text, f"https://github.com{text}", f"https://{text}/a/b.git"):
        try:
            accepted = check_clone_url(url, web="https://github.com")
        except RefusedError:
            continue
        assert accepted.lower().startswith(("https://github.com/", "https://github.com:443/", "https://github.com:/"))


def test_attack_35_git_itself_would_refuse_other_protocols(mirror: GitMirror, tmp_path: Path) -> None:
    for url in ("ext::sh -c touch% canary", f"file://{tmp_path}", str(tmp_path), "--upload-pack=touch canary"):
        with pytest.raises(LaunchpinError):
            mirror._clone(Repository(id=1, full_name="a/b", role=Role.MODEL, clone_url=url), url, lock=2)  # noqa: SLF001 - the second wall, behind the first

    assert is_canary_absent(tmp_path)


# ---------------------------------------------------------------- 42: whose commit


def test_attack_42_a_commit_that_no_branch_leads_to_is_refused(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit({"a": b"1"})
    forked = origin.commit({"a": b"evil"}, ref="refs/pull/1/head", parents=(head,))
    forgotten = origin.commit({"a": b"old"}, branch="gone", parents=(head,))
    mirror.fetch(repository)
    git(origin.path, "update-ref", "-d", "refs/heads/gone")
    mirror.fetch(repository)
    assert mirror.read(repository, forgotten, "a") == b"old"

    for commit in (forked, forgotten):
        with pytest.raises(RefusedError) as caught:
            mirror.checkout(repository, commit, tmp_path / "work" / "into")
        assert caught.value.reason == "commit_unreachable"

    assert not (tmp_path / "work").exists()


def test_attack_42_a_commit_smuggled_into_the_mirror_is_refused(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit({"a": b"1"})
    mirror.fetch(repository)
    smuggled = Origin(tmp_path / "mirrors" / "7.git").commit({"a": b"evil"}, ref="refs/x/y", parents=(head,))

    with pytest.raises(RefusedError):
        mirror.checkout(repository, smuggled, tmp_path / "into")
