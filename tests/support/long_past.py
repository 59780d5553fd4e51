"""A store in which a model has more of everything than its page shows at once; its champion is an old version."""

from datetime import timedelta

from gitops.audit.entry import Actor, Event, Subject
from gitops.records import Environment, Role
from gitops.store import SqlStore
from gitops.writes import SaveEnvironment, SaveRepository, SaveVersion, StartTraining
from tests.support.store import Clock, make_environment, make_repository, make_training, make_version, write

VERSIONS = 65
CHAMPION = "5"
METRICS = 8
_LAUNCHPIN = Actor(type="service", login="launchpin")


def fill_with_long_past(store: SqlStore, clock: Clock) -> None:
    """Judge 65 versions of `iris`, the fifth of which is the champion since; staging went through all of them."""
    clock.time -= timedelta(days=VERSIONS)
    write(store, SaveRepository(make_repository(id=2, full_name="acme/iris-deploy", role=Role.DEPLOY)))
    for number in range(1, VERSIONS + 1):
        clock.advance(timedelta(hours=20))
        names = ("accuracy", *(f"extra_{at}" for at in range(1, METRICS)))
        metrics = {name: f"0.{800 + number + at}" for at, name in enumerate(names)}
        write(store, SaveVersion(make_version(version=str(number), metrics=metrics, training_id=f"t-{number}")))
        serve(store, str(number), "staging")
        if str(number) == CHAMPION:
            serve(store, CHAMPION, "production")
    for name, version in (("staging", str(VERSIONS)), ("production", CHAMPION)):
        place = make_environment(path=name, name=name, endpoint=f"iris-{name}", is_champion=name == "production")
        known = place.model_copy(update={"serving": version, "pinned": version, "serving_since": clock()})
        write(store, SaveEnvironment(known, tuple(Environment.model_fields)))
    for number in range(12):
        write(store, StartTraining(make_training(id=f"t-{number:09d}")))


def serve(store: SqlStore, version: str, env: str) -> None:
    """Record that an endpoint's traffic moved."""
    about = Subject(model="iris", version=version, env=env, endpoint=f"iris-{env}", rollout_id=f"r-{env}-{version}")
    store.append_audit(Event(kind="rollout.applied", actor=_LAUNCHPIN, subject=about, evidence={"serving": version}))
