"""The loop on PostgreSQL: what `launchpin up` does when `LAUNCHPIN_DATABASE_URL` names a server."""

from pathlib import Path

import httpx
import pytest

from gitops.bootstrap import for_command
from gitops.embedded.stack.environment import settings_for
from gitops.embedded.stack.layout import Layout
from gitops.store import check_audit_joins
from tests.support.live import Live, make_pair, running
from tests.support.postgres import Postgres


# In the other ordinary runs every end-to-end test is on PostgreSQL.
@pytest.mark.slices(0, 2, 4, 6, 8)
def test_a_push_becomes_a_prediction_when_the_records_are_on_postgresql(
    tmp_path: Path, clones: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.make_empty()
    monkeypatch.delenv("LAUNCHPIN_DATABASE_URL", raising=False)
    settings = {"poll": "10s", "compare": "8s", "anchor": "5s", "checkpoint": "2s"}
    with running(tmp_path / "stack", database_url=url, **settings) as live:
        pair = make_pair(live, clones, "served")
        training = pair.trained(pair.push())
        assert (training.phase, training.facts.verdict) == ("Succeeded", "pass")
        version = training.facts.version or ""
        staging = pair.serving("staging", version)
        headers = {"content-type": "application/json"}
        example = pair.example(version)
        answer = httpx.post(f"{staging.url}/invocations", content=example, headers=headers, trust_env=False, timeout=30)
        assert len(answer.json()["predictions"]) == 3
        wanted = live.store.ask_checkpoint()
        live.wait("a signed head", lambda: _signed(live, wanted))
        assert check_audit_joins(live.store) == []
        assert not (live.layout.dir / "launchpin.sqlite3").exists()
    # A later command finds the same database, although nobody tells it where that is.
    store = for_command(settings_for(Layout.load(tmp_path / "stack")))
    assert [record.id for record in store.recent("training")] == [training.id]
    store.close()
    postgres.drop(url)


def _signed(live: Live, wanted: int) -> bool | None:
    head = live.store.newest_checkpoint()
    return True if head is not None and head.size >= wanted else None
