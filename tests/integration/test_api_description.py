"""The API's own description: every verb, and every way in which an operation says no."""

from gitops.grammar import VERBS
from tests.integration.api_rig import fleet
from tests.support.api import program
from tests.support.dashboard import Dashboard

__all__ = ["fleet"]


def test_the_description_names_every_verb_with_its_arguments(fleet: Dashboard) -> None:
    with program(fleet, "") as client:
        text = client.get("/api/v1/openapi.json").json()
    assert text["openapi"].startswith("3.1")
    assert not [path for path in text["paths"] if not path.startswith("/api/v1/")]
    for verb in VERBS.values():
        if verb.changes:
            asked = text["paths"][f"/api/v1/{verb.name}"]["post"]
            reference = asked["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            schema = text["components"]["schemas"][reference]
            assert list(schema.get("properties", {})) == [one.name for one in verb.arguments]
            assert schema.get("required", []) == [one.name for one in verb.required]
            assert schema["additionalProperties"] is False


def test_the_description_says_how_each_operation_says_no(fleet: Dashboard) -> None:
    with program(fleet, "") as client:
        text = client.get("/api/v1/openapi.json").json()
        refusal = client.get("/api/v1/me").json()
    assert refusal.keys() <= text["components"]["schemas"]["Problem"]["properties"].keys()
    assert refusal.keys() >= set(text["components"]["schemas"]["Problem"]["required"])
    operations = [one for path in text["paths"].values() for one in path.values()]
    assert len(operations) > 20
    for one in operations:
        refusals = {status: told["content"] for status, told in one["responses"].items() if int(status) >= 400}
        assert {"401", "403", "503"} <= refusals.keys()
        assert {kind for told in refusals.values() for kind in told} == {"application/problem+json"}
    assert "HTTPValidationError" not in text["components"]["schemas"]
    asked = text["paths"]["/api/v1/hold"]["post"]["responses"]
    assert {"202", "401", "403", "404", "409", "412", "413", "422", "503"} == asked.keys()
