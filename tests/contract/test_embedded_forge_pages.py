"""The forge's pages: what they show, who may see them, and what cannot make their buttons act."""

import re
import time
from collections.abc import Iterator

import httpx
import pytest
from github.PullRequest import PullRequest
from github.Repository import Repository

from gitops.embedded.forge.accounts import mint_link
from gitops.embedded.forge.pages.markdown import render_markdown
from tests.support.forge import ForgeUnderTest, running_forge

BODY = """## Iris v7 beats v6

| metric | v7 | v6 |
|---|---|---|
| accuracy | **0.97** | 0.95 |

- gate `accuracy above 0.9` passed
- [the run](http://127.0.0.1:1/run), [bad](javascript:alert(1)), ![img](http://tracker.example/x.png)

<script>alert(1)</script><img src=x onerror=alert(1)>
"""


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


@pytest.fixture
def repo(forge: ForgeUnderTest) -> Repository:
    return forge.repository()


@pytest.fixture
def pull(repo: Repository) -> PullRequest:
    repo.create_git_ref("refs/heads/launchpin/staging/iris", repo.get_branch("main").commit.sha)
    repo.create_file("buildspec.yml", "Pin iris 7", 'MODEL_VERSION="7"\n', branch="launchpin/staging/iris")
    return repo.create_pull(base="main", head="launchpin/staging/iris", title="Pin <iris> 7", body=BODY)


def page_of(pull: PullRequest) -> str:
    return f"/{pull.base.repo.full_name}/pull/{pull.number}"


def csrf_of(client: httpx.Client, path: str) -> str:
    found = re.search(r'name="_csrf" value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


def press(
    forge: ForgeUnderTest,
    client: httpx.Client,
    path: str,
    *,
    form: dict[str, str],
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Send a form as a browser does, from a page of ours unless other headers are given."""
    return client.post(path, data=form, headers={"Origin": forge.url} if headers is None else headers)


def test_pull_request_page_shows_body_diff_checks_and_comments(
    forge: ForgeUnderTest, repo: Repository, pull: PullRequest
) -> None:
    repo.create_check_run(
        "launchpin/iris",
        pull.head.sha,
        status="completed",
        conclusion="success",
        details_url="http://127.0.0.1:1/run/7",
        output={"title": "Passed", "summary": "accuracy **0.97** is above 0.9"},
    )
    repo.get_commit(pull.head.sha).create_status("failure", context="tests/<b>", description="2 failed")
    pull.create_issue_comment("looks *good* <b>x</b>")
    text = forge.browser().get(page_of(pull)).text
    for part in (
        "Pin &lt;iris&gt; 7",
        "<td><strong>0.97</strong></td>",
        '<td class="text">MODEL_VERSION=&#34;7&#34;</td>',
        'href="http://127.0.0.1:1/run/7"',
        "accuracy <strong>0.97</strong> is above 0.9",
        "tests/&lt;b&gt;",
        "looks <em>good</em> &lt;b&gt;x&lt;/b&gt;",
        "Merge pull request",
    ):
        assert part in text


def test_attack_70_body_of_a_pull_request_cannot_act(forge: ForgeUnderTest, pull: PullRequest) -> None:
    answer = forge.browser().get(page_of(pull))
    assert not re.search(r"<(script|img|iframe|object|style)\b", answer.text)
    assert 'href="javascript' not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>",
        "[x](javascript:x)",
        "[x](JaVaScRiPt:x)",
        "[x](data:text/html,x)",
        "<javascript:x>",
        "![x](http://a/b)",
        "[x](vbscript:x)",
        '[x](http://a"onmouseover=x)',
        "<a href=x onclick=y>z</a>",
        "[a]: javascript:x\n\n[a]",
        "&lt;script&gt;",
    ],
)
def test_attack_77_markdown_renders_nothing_that_acts(text: str) -> None:
    html = str(render_markdown(text))
    assert not re.search(r"<(?!/?(p|a|em|strong|code|pre)\b)", html)
    assert not re.search(r'href="(?!http)', html)
    assert not re.search(r"<[^>]*\son\w+=", html)


def test_merge_button_merges_as_the_person(forge: ForgeUnderTest, repo: Repository, pull: PullRequest) -> None:
    client, path = forge.browser(), page_of(pull)
    form = {"_csrf": csrf_of(client, path), "sha": pull.head.sha, "method": "merge"}
    answer = press(forge, client, f"{path}/merge", form=form)
    assert answer.status_code == 200
    assert "<b>you</b> merged this" in answer.text
    assert repo.get_pull(pull.number).merged_by.login == "you"


def test_close_and_reopen_buttons_work(forge: ForgeUnderTest, repo: Repository, pull: PullRequest) -> None:
    client, path = forge.browser(), page_of(pull)
    form = {"_csrf": csrf_of(client, path)}
    press(forge, client, f"{path}/close", form=form)
    assert repo.get_pull(pull.number).state == "closed"
    press(forge, client, f"{path}/reopen", form=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert repo.get_pull(pull.number).state == "open"


def test_i28_merge_button_acts_only_on_the_commit_it_showed(
    forge: ForgeUnderTest, repo: Repository, pull: PullRequest
) -> None:
    client, path = forge.browser(), page_of(pull)
    form = {"_csrf": csrf_of(client, path), "sha": pull.head.sha}
    repo.create_file("late.txt", "late", "x", branch=pull.head.ref)
    answer = press(forge, client, f"{path}/merge", form=form)
    assert (answer.status_code, repo.get_pull(pull.number).merged) == (409, False)
    del form["sha"]
    assert press(forge, client, f"{path}/merge", form=form).status_code == 409


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Referer": "http://127.0.0.1/"},
    ],
)
def test_attack_71_form_from_another_origin_is_refused(
    forge: ForgeUnderTest, repo: Repository, pull: PullRequest, headers: dict[str, str]
) -> None:
    client, path = forge.browser(), page_of(pull)
    form = {"_csrf": csrf_of(client, path), "sha": pull.head.sha}
    answer = press(forge, client, f"{path}/merge", form=form, headers=headers)
    assert (answer.status_code, repo.get_pull(pull.number).merged) == (403, False)


@pytest.mark.parametrize("token", ["", "x", "é", None])
def test_attack_71_form_without_the_pages_token_is_refused(
    forge: ForgeUnderTest, repo: Repository, pull: PullRequest, token: str | None
) -> None:
    client, path = forge.browser(), page_of(pull)
    form = {"sha": pull.head.sha} | ({} if token is None else {"_csrf": token})
    answer = press(forge, client, f"{path}/merge", form=form)
    assert (answer.status_code, repo.get_pull(pull.number).merged) == (403, False)


def test_attack_71_token_of_another_session_is_refused(forge: ForgeUnderTest, pull: PullRequest) -> None:
    path = page_of(pull)
    form = {"_csrf": csrf_of(forge.browser(), path), "sha": pull.head.sha}
    assert press(forge, forge.browser(), f"{path}/merge", form=form).status_code == 403


def test_attack_72_pages_cannot_be_framed(forge: ForgeUnderTest, pull: PullRequest) -> None:
    for path in (page_of(pull), "/", "/nothing", "/api/v3/user", "/healthz"):
        headers = forge.browser().get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "", "[::2]:{port}"]
)
def test_attack_86_foreign_host_is_refused_everywhere(forge: ForgeUnderTest, pull: PullRequest, host: str) -> None:
    client, port = forge.browser(), forge.url.rpartition(":")[2]
    for path in (page_of(pull), "/healthz", "/api/v3/user", f"/{pull.base.repo.full_name}.git/info/refs", "/_login/x"):
        answer = client.get(path, headers={"Host": host.format(port=port), "Authorization": f"Bearer {forge.bot}"})
        assert answer.status_code in {400, 421}, path


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_own_hosts_are_answered(forge: ForgeUnderTest, name: str) -> None:
    port = forge.url.rpartition(":")[2]
    assert httpx.get(f"{forge.url}/healthz", headers={"Host": f"{name}:{port}"}).status_code == 200


def test_attack_86_links_never_come_from_the_host_header(forge: ForgeUnderTest, repo: Repository) -> None:
    port = forge.url.rpartition(":")[2]
    answer = forge.http().get(f"/repos/{repo.full_name}", headers={"Host": f"localhost:{port}"})
    assert answer.json()["html_url"] == f"{forge.url}/{repo.full_name}"


def test_page_says_how_to_get_in_when_there_is_no_session(forge: ForgeUnderTest, pull: PullRequest) -> None:
    client = forge.browser(signed_in=False)
    for path in ("/", page_of(pull), f"/{pull.base.repo.full_name}", "/nobody/nothing"):
        answer = client.get(path)
        assert (answer.status_code, "launchpin status" in answer.text) == (401, True)
    assert "Pin" not in client.get(page_of(pull)).text


def test_tokens_of_the_api_do_not_open_pages_and_sessions_do_not_open_the_api(
    forge: ForgeUnderTest, pull: PullRequest
) -> None:
    anonymous = forge.browser(signed_in=False)
    assert anonymous.get(page_of(pull), headers={"Authorization": f"Bearer {forge.user}"}).status_code == 401
    assert forge.browser().get("/api/v3/user").status_code == 401


def test_one_time_link_works_once_and_keeps_its_cookie_from_scripts(forge: ForgeUnderTest) -> None:
    link = mint_link(forge.home, "/acme")
    first = httpx.get(forge.url + link)
    cookie = first.headers["set-cookie"].lower()
    assert (first.status_code, first.headers["location"]) == (303, "/acme")
    assert cookie.startswith("launchpin_forge=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert httpx.get(forge.url + link).status_code == 403


def test_one_time_link_is_refused_when_it_is_old_or_made_up(
    forge: ForgeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = time.time() - 901
    with monkeypatch.context() as patch:
        patch.setattr("gitops.logins.time.time", lambda: past)
        link = mint_link(forge.home)
    assert httpx.get(forge.url + link).status_code == 403
    for token in ("x", "..%2f..%2fbot.token", "%00"):
        assert httpx.get(f"{forge.url}/_login/{token}").status_code in {403, 404, 401}


@pytest.mark.parametrize(
    "target", ["http://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x", "/a\r\nX: y"]
)
def test_one_time_link_leads_nowhere_else(forge: ForgeUnderTest, target: str) -> None:
    answer = httpx.get(forge.url + mint_link(forge.home, target))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_pages_of_repository_and_commit_show_checks(forge: ForgeUnderTest, repo: Repository, pull: PullRequest) -> None:
    repo.get_commit(pull.head.sha).create_status("success", context="ci", target_url="http://127.0.0.1:1/ci")
    client = forge.browser()
    home = client.get("/").text
    assert repo.full_name in home
    listed = client.get(f"/{repo.full_name}").text
    assert "launchpin/staging/iris" in listed
    assert f"#{pull.number}" in listed
    commit = client.get(f"/{repo.full_name}/commit/{pull.head.sha}").text
    assert 'href="http://127.0.0.1:1/ci"' in commit
    assert "Pin iris 7" in commit
    for path in ("/acme/none", f"/{repo.full_name}/pull/99", f"/{repo.full_name}/commit/xyz", "/a/b/c/d"):
        assert client.get(path).status_code == 404


def test_pages_load_nothing_from_elsewhere(forge: ForgeUnderTest, pull: PullRequest) -> None:
    client = forge.browser()
    text = client.get(page_of(pull)).text
    assert set(re.findall(r'<link[^>]*href="([^"]+)"', text)) == {"data:,", "/_assets/style.css"}
    assert "src=" not in re.sub(r"&lt;.*?&gt;", "", text)
    style = client.get("/_assets/style.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text
    assert "prefers-color-scheme: dark" in style.text
