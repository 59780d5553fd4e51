"""`launchpin add` and `launchpin pr`, against a real forge, with real clones that really push."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.records import Role
from gitops.store import SqlStore
from tests.support.cli import Stack, call, make_stack, working
from tests.support.forge import ForgeUnderTest, running_forge


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Give a stack whose forge runs and whose commands are carried out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    with make_stack(tmp_path) as stack, working(stack):
        yield stack


@pytest.fixture
def forge(stack: Stack) -> Iterator[ForgeUnderTest]:
    """Give the stack's forge, running."""
    with running_forge(stack.layout.forge_home, port=stack.layout.ports.forge) as forge:
        yield forge


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def write_model(folder: Path) -> Path:
    assert call("init", "model", folder).code == 0
    return folder


def repository(store: SqlStore, name: str) -> Role:
    return next(one.role for one in store.repositories() if one.full_name == name)


def test_clone_pushes_without_a_question_when_it_was_added(stack: Stack, forge: ForgeUnderTest) -> None:
    wine = write_model(Path("wine").absolute())

    result = stack.launchpin("add", wine, "--json")

    assert result.code == 0, result.both
    assert repository(stack.store, "local/wine") is Role.MODEL
    git(wine, "push", "launchpin", "main")
    assert forge.github().get_repo("local/wine").get_branch("main").commit.sha == git(wine, "rev-parse", "HEAD")
    assert result.json["next"][-1] == f"git -C {wine} push launchpin main"


def test_no_token_is_in_the_clone_when_it_was_added(stack: Stack, forge: ForgeUnderTest) -> None:
    wine = write_model(Path("wine").absolute())

    result = stack.launchpin("add", wine)

    git(wine, "push", "launchpin", "main")
    files = [path.read_bytes() for path in wine.rglob("*") if path.is_file()]
    for secret in (forge.user, forge.bot):
        assert not any(secret.encode() in content for content in files)
        assert secret not in result.both
    assert git(wine, "remote", "get-url", "launchpin") == f"{forge.url}/local/wine.git"


def test_helper_answers_for_that_one_repository_when_git_asks(stack: Stack, forge: ForgeUnderTest) -> None:
    wine = write_model(Path("wine").absolute())
    stack.launchpin("add", wine)

    def ask(url: str) -> str:
        done = subprocess.run(
            ["git", "-c", "core.askPass=true", "credential", "fill"],
            cwd=wine,
            input=f"url={url}\n\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout

    assert f"password={forge.user}" in ask(f"{forge.url}/local/wine.git")
    assert forge.user not in ask(f"{forge.url}/local/other.git")
    assert forge.user not in ask("http://127.0.0.1:1/local/wine.git")


def test_nothing_is_doubled_when_a_clone_is_added_twice(stack: Stack, forge: ForgeUnderTest) -> None:
    wine = write_model(Path("wine").absolute())
    first = stack.launchpin("add", wine, "--as", "acme/wine")
    config = (wine / ".git/config").read_text()

    second = stack.launchpin("add", wine)

    assert (first.code, second.code) == (0, 0)
    assert (wine / ".git/config").read_text() == config
    assert [one.full_name for one in stack.store.repositories()] == ["acme/wine"]
    assert forge.github().get_repo("acme/wine").get_hooks().totalCount == 1


def test_clone_works_when_the_stacks_folder_has_a_name_that_shells_dislike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    odd = tmp_path / 'it\'s $(a) "b"; c'
    with (
        make_stack(odd) as stack,
        running_forge(stack.layout.forge_home, port=stack.layout.ports.forge),
        working(stack),
    ):
        wine = write_model(tmp_path / "wine")

        assert stack.launchpin("add", wine).code == 0

        git(wine, "push", "launchpin", "main")


def test_missing_deploy_repository_is_named_with_its_command_when_a_model_names_it(
    stack: Stack, forge: ForgeUnderTest
) -> None:
    wine = write_model(Path("wine").absolute())

    before = stack.launchpin("add", wine, "--json")
    where = wine.parent / "wine-deploy"
    stack.launchpin("init", "deploy", where)
    stack.launchpin("add", where)
    after = stack.launchpin("add", wine, "--json")

    assert "local/wine-deploy is not connected yet" in before.json["warnings"][0]
    assert before.json["next"][0] == (
        f"launchpin init deploy {where} --model wine && launchpin add {where} --as local/wine-deploy"
    )
    assert repository(stack.store, "local/wine-deploy") is Role.DEPLOY
    assert after.json["warnings"] == []
    assert forge.github().get_repo("local/wine-deploy").get_hooks().totalCount == 1


def test_problem_of_launchpin_yaml_is_shown_when_it_cannot_be_read(stack: Stack, forge: ForgeUnderTest) -> None:
    wine = write_model(Path("wine").absolute())
    (wine / "launchpin.yaml").write_text("version: 1\nmodle: x\n")

    result = stack.launchpin("add", wine)

    assert result.code == 0
    assert "launchpin.yaml:2:1: modle" in result.out
    assert forge.url in result.out


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"notes.txt": ""}, "neither a launchpin.yaml"),
        ({"launchpin.yaml": "", "a/endpoint.yaml": "", "a/buildspec.yml": ""}, "two repositories"),
    ],
)
def test_folder_is_refused_with_a_remedy_when_its_role_is_unclear(
    stack: Stack, tmp_path: Path, files: dict[str, str], says: str
) -> None:
    folder = tmp_path / "odd"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "--quiet")

    result = stack.launchpin("add", folder)

    assert result.code == 1
    assert says in result.err


def test_folder_is_refused_with_the_commands_to_type_when_git_does_not_know_it(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()

    result = stack.launchpin("add", tmp_path / "plain")

    assert result.code == 2
    assert "init -b main" in result.err


def test_secret_is_refused_with_the_file_to_write_and_until_the_workers_read_it(
    stack: Stack, forge: ForgeUnderTest
) -> None:
    wine = write_model(Path("wine").absolute())
    missing = stack.launchpin("add", wine, "--secret", "DB_PASSWORD")
    file = stack.layout.secrets / "granted" / "DB_PASSWORD"
    file.write_text("hunter2")
    early = stack.launchpin("add", wine, "--secret", "DB_PASSWORD")

    assert missing.code == 2
    assert str(file) in missing.err
    assert early.code == 1
    assert "restart the workers" in early.err
    assert stack.store.repositories() == []
    assert "hunter2" not in early.both
    assert forge.user not in early.both


def test_role_that_is_taken_is_refused_when_another_folder_claims_the_name(stack: Stack, forge: ForgeUnderTest) -> None:
    wine = write_model(Path("wine").absolute())
    stack.launchpin("add", wine)
    other = Path("other").absolute()
    stack.launchpin("init", "deploy", other)

    result = stack.launchpin("add", other, "--as", "local/wine", "--json")

    assert result.code == 1
    assert result.json["reason"] == "RoleTaken"
    assert "remote" not in (other / ".git/config").read_text()
    assert forge.url not in (other / ".git/config").read_text()


def open_pull(stack: Stack, forge: ForgeUnderTest, name: str, *, number_of: str = "staging") -> int:
    """Add a deploy repository and open a pull request in it; returns its number."""
    folder = Path(name).absolute()
    stack.launchpin("init", "deploy", folder)
    assert stack.launchpin("add", folder).code == 0
    git(folder, "push", "--quiet", "launchpin", "main")
    git(folder, "checkout", "--quiet", "-b", "pin")
    file = folder / number_of / "buildspec.yml"
    file.write_text(file.read_text().replace('MODEL_VERSION=""', 'MODEL_VERSION="2"'))
    git(folder, "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "--quiet", "-am", "Pin 2")
    git(folder, "push", "--quiet", "launchpin", "pin")
    repo = forge.github().get_repo(f"local/{name}")
    repo.get_commit(git(folder, "rev-parse", "HEAD")).create_status("success", context="launchpin", description="fine")
    return repo.create_pull(title="Serve \x1b[31mwine 2", body="| a |\n\x1b[2J", head="pin", base="main").number


def test_pull_requests_are_listed_shown_and_merged_as_the_person(stack: Stack, forge: ForgeUnderTest) -> None:
    number = open_pull(stack, forge, "wine-deploy")

    listed, shown = stack.launchpin("pr", "list"), stack.launchpin("pr", "show", number)
    merged, again = stack.launchpin("pr", "merge", number, "--json"), stack.launchpin("pr", "merge", number)

    assert "local/wine-deploy" in listed.out
    assert "success" in shown.out
    assert "\x1b" not in listed.both + shown.both
    assert merged.code == 0
    pull = forge.github().get_repo("local/wine-deploy").get_pull(number)
    assert pull.merged
    assert pull.merged_by.login == "you"
    assert merged.json["sha"] == pull.merge_commit_sha
    assert (again.code, "already" in again.out) == (0, True)


def test_number_is_asked_for_with_its_repository_when_two_have_it(stack: Stack, forge: ForgeUnderTest) -> None:
    numbers = {open_pull(stack, forge, "one-deploy"), open_pull(stack, forge, "two-deploy")}
    assert numbers == {1}

    unclear = stack.launchpin("pr", "merge", 1)
    named = stack.launchpin("pr", "merge", 1, "--repo", "local/two-deploy")

    assert unclear.code == 2
    assert "local/one-deploy, local/two-deploy" in unclear.err
    assert named.code == 0


def test_pull_request_is_refused_when_it_was_closed_or_conflicts(stack: Stack, forge: ForgeUnderTest) -> None:
    number = open_pull(stack, forge, "wine-deploy")
    folder = Path("wine-deploy").absolute()
    git(folder, "checkout", "--quiet", "main")
    file = folder / "staging/buildspec.yml"
    file.write_text(file.read_text().replace('MODEL_VERSION=""', 'MODEL_VERSION="3"'))
    git(folder, "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "--quiet", "-am", "Pin 3")
    git(folder, "push", "--quiet", "launchpin", "main")

    conflicting = stack.launchpin("pr", "merge", number)
    forge.github().get_repo("local/wine-deploy").get_pull(number).edit(state="closed")
    closed = stack.launchpin("pr", "merge", number)

    assert (conflicting.code, closed.code) == (1, 1)
    assert "closed" in closed.err


def test_unknown_names_are_answered_with_the_nearest_when_they_are_mistyped(
    stack: Stack, forge: ForgeUnderTest
) -> None:
    open_pull(stack, forge, "wine-deploy")

    repository = stack.launchpin("pr", "list", "--repo", "local/wine-deplyo")
    number = stack.launchpin("pr", "show", 77)

    assert (repository.code, number.code) == (2, 2)
    assert "did you mean local/wine-deploy" in repository.err
    assert "no pull request #77" in number.err


def test_forge_that_is_away_is_inconclusive_when_pull_requests_are_asked_for(stack: Stack) -> None:
    with running_forge(stack.layout.forge_home, port=stack.layout.ports.forge) as forge:
        open_pull(stack, forge, "wine-deploy")

    result = stack.launchpin("pr", "list")

    assert result.code == 3
    assert "launchpin up" in result.err


def test_clone_is_left_alone_when_the_stack_is_not_up(stack: Stack) -> None:
    wine = write_model(Path("wine").absolute())
    before = (wine / ".git/config").read_text()
    stack.set_down()

    result = stack.launchpin("add", wine)

    assert result.code == 3
    assert (wine / ".git/config").read_text() == before
    assert stack.store.recent("command") == []
    shutil.rmtree(wine)
