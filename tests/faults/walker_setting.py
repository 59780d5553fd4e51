"""What a walked case begins with: repositories, rows and endpoints of its own, made by the shortest way."""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from gitops.manifest import Manifest
from gitops.models import manifest_text
from gitops.plans import configuration_name, plan_digest, promotion_branch
from gitops.ports import Configuration, Exit
from gitops.records import Cause, Environment, MergeMode, Promotion, Repository, Role, Sync, Training, Version
from gitops.steps import Done
from gitops.store import SqlStore
from gitops.writes import OpenPromotion, SaveEnvironment, SaveRepository, SaveVersion, StartTraining
from tests.faults.outside import Effect
from tests.faults.walker_files import BUILDSPEC, DEPLOY, ENDPOINT, LAUNCHPIN, MLPROJECT, TRAIN
from tests.faults.walker_play import ENVIRONMENT, Play, SharedClock
from tests.faults.walker_stage import Stage, model_files
from tests.support.endpoint_host import TOKEN
from tests.support.store import take, write
from tests.support.training import wait_until

# Deliveries are sent and lost: what a scene begins with is told by the play itself.
_NOBODY = "http://127.0.0.1:9/webhook"


@dataclass(frozen=True)
class Scene:
    """A case's own part of the world.

    Args:
        name: of the kind of scene.
        play: what its workers are told.
        model_repository: the model repository, None where the scene has none.
        deploy_repository: the same of the deploy repository.
        model: the registered model.
        endpoint: the endpoint of `staging`.
        began: places in the journals of the forge, MLflow and the host where the case began.
        words: names of this case alone, and what stands for them when cases are compared.
    """

    name: str
    stage: Stage
    play: Play
    model: str
    endpoint: str
    model_repository: Repository | None
    deploy_repository: Repository | None
    began: tuple[int, int, int]
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_training(self) -> bool:
        """Whether the model is this case's own."""
        return self.model != self.stage.model

    def effects(self) -> dict[str, list[Effect]]:
        """Return what was asked of each outside in this case."""
        outsides = zip(("forge", "tracking", "host"), self.stage.outsides, self.began, strict=True)
        return {name: outside.journal.effects()[place:] for name, outside, place in outsides}

    def asked(self, outside: str, method: str, path: str) -> list[Effect]:
        """Return the requests of one kind that an outside was sent."""
        effects = self.effects()[outside]
        return [effect for effect in effects if effect.method == method and re.search(path, effect.path)]

    def open_store(self) -> SqlStore:
        """Open the case's database, at the case's time."""
        return SqlStore(self.play.database, clock=SharedClock(Path(self.play.folder) / "clock"))


class Setting:
    """Makes a scene piece by piece."""

    def __init__(self, stage: Stage, folder: Path, database: str, *, is_new: bool = False) -> None:
        self._stage = stage
        self._folder = folder
        self._key = uuid.uuid4().hex[:8]
        self._database = database
        self._store = SqlStore(database, clock=SharedClock(folder / "clock"))
        self._model = f"model-{self._key}" if is_new else stage.model
        self._endpoint = f"e-{self._key}"
        self._model_repository: Repository | None = None
        self._deploy_repository: Repository | None = None

    # ------------------------------------------------------------ kinds of scenes

    def train(self, name: str, *, environments: str = "") -> Scene:
        """Push a commit to train."""
        sha = self._make_model()
        delivery = self._push(self._model_repository, sha)
        return self.scene(name, environments=environments, delivery=delivery, is_anchored=name == "loop")

    def go_back(self, name: str, *, write: str) -> Scene:
        """Serve version 1, and push the pin of version 2."""
        first = self.make_deploy(version="1", write=write)
        self.save_trained("1", promote=False)
        self.save_trained("2", promote=False)
        self._serve(first)
        sha = self._commit_pin(first, write=write)
        return self.scene(name, delivery=self._push(self._deploy_repository, sha), poisoned="2")

    def follow_push(self, name: str, sha: str, *, parked: str) -> Scene:
        """Tell of a push to the deploy repository."""
        return self.scene(name, delivery=self._push(self._deploy_repository, sha), parked=parked)

    def scene(self, name: str, *, is_anchored: bool = False, **told: Any) -> Scene:  # noqa: ANN401 - any field of the play
        """Return the scene as it stands now."""
        stage = self._stage
        if self._deploy_repository is not None:
            self._store.wake("compare", str(self._deploy_repository.id))
        if self._deploy_repository is not None and is_anchored:
            self._store.wake("anchor", str(self._deploy_repository.id))
        origin = self._store.log_id if is_anchored else ""
        self._store.close()
        play = Play(
            folder=str(self._folder),
            database=self._database,
            forge=f"{stage.forge.url}/api/v3",
            forge_git=stage.behind.api,
            token=stage.behind.bot,
            tracking=stage.tracking.url,
            host=stage.host.url,
            host_token=TOKEN,
            python=str(stage.python),
            origin=origin,
            **told,
        )
        began = tuple(len(outside.journal.effects()) for outside in stage.outsides)
        words = {self._key: "KEY", self._model: "MODEL"}
        return Scene(
            name,
            stage,
            play,
            self._model,
            self._endpoint,
            self._model_repository,
            self._deploy_repository,
            (began[0], began[1], began[2]),
            words,
        )

    # ------------------------------------------------------------ pieces

    def _make_model(self) -> str:
        text = LAUNCHPIN.format(model=self._model, mlflow=self._stage.mlflow)
        if self._deploy_repository is not None:
            text += DEPLOY.format(deploy=self._deploy_repository.full_name)
        files = {"launchpin.yaml": text, "MLproject": MLPROJECT, "train.py": TRAIN % _texts("1")}
        files |= {"requirements.txt": "# needs nothing\n"}
        self._model_repository, sha = self._make_repository(f"m-{self._key}", Role.MODEL, files)
        return sha

    def make_deploy(self, *, version: str, write: str = "commit") -> str:
        """Make the deploy repository; returns its commit."""
        files = self._pins({"staging": version, "production": ""}, bake="0s", write=write)
        self._deploy_repository, sha = self._make_repository(f"d-{self._key}", Role.DEPLOY, files)
        return sha

    def _pins(self, versions: Mapping[str, str], *, bake: str, write: str) -> dict[str, str]:
        files = {"README.md": "people's words\n"}
        for path, version in versions.items():
            pin = {"tracking": self._stage.tracking.url, "model": self._model, "version": version}
            files[f"{path}/buildspec.yml"] = BUILDSPEC.format(**pin)
            endpoint = self._endpoint if path == "staging" else f"{self._endpoint}-{path}"
            files[f"{path}/endpoint.yaml"] = ENDPOINT.format(endpoint=endpoint, bake=bake, write=write)
        return files

    def _make_repository(self, name: str, role: Role, files: Mapping[str, str]) -> tuple[Repository, str]:
        made = self._stage.person("POST", "/orgs/acme/repos", {"name": name, "private": True})
        repository = Repository(
            id=made["id"],
            full_name=made["full_name"],
            role=role,
            clone_url=made["clone_url"],
            html_url=made["html_url"],
        )
        sha = self._commit(repository, files, parent="")
        hook = {"url": _NOBODY, "content_type": "json"}
        events = ["push", "pull_request"]
        self._stage.person("POST", f"/repos/{repository.full_name}/hooks", {"config": hook, "events": events})
        write(self._store, SaveRepository(repository))
        return repository, sha

    def _commit_pin(self, parent: str, *, write: str) -> str:
        assert self._deploy_repository is not None
        files = self._pins({"staging": "2", "production": ""}, bake="1h", write=write)
        return self._commit(self._deploy_repository, files, parent=parent)

    def leave_branch(self, base: str) -> None:
        """Leave a commit of Launchpin's, with the pin of another version, on the branch of a proposal."""
        assert self._deploy_repository is not None
        files = self._pins({"staging": "2", "production": ""}, bake="0s", write="commit")
        place = {"branch": promotion_branch("staging", self._model), "token": self._stage.behind.bot}
        self._commit(self._deploy_repository, files, parent=base, **place)

    def _commit(
        self, repository: Repository, files: Mapping[str, str], *, parent: str, branch: str = "main", token: str = ""
    ) -> str:
        place = f"/repos/{repository.full_name}/git"
        entries = [{"path": path, "mode": "100644", "type": "blob", "content": text} for path, text in files.items()]
        tree = self._stage.person("POST", f"{place}/trees", {"tree": entries}, token=token)["sha"]
        commit = {"message": "A commit", "tree": tree, "parents": [parent] if parent else []}
        sha: str = self._stage.person("POST", f"{place}/commits", commit, token=token)["sha"]
        if parent and branch == "main":
            self._stage.person("PATCH", f"{place}/refs/heads/main", {"sha": sha}, token=token)
        else:
            self._stage.person("POST", f"{place}/refs", {"ref": f"refs/heads/{branch}", "sha": sha}, token=token)
        return sha

    def _push(self, repository: Repository | None, sha: str) -> str:
        """Write the delivery of a push; returns its file."""
        assert repository is not None
        body = {
            "ref": "refs/heads/main",
            "before": "0" * 40,
            "after": sha,
            "repository": {"id": repository.id, "full_name": repository.full_name, "default_branch": "main"},
            "sender": {"login": "ada", "id": 7, "type": "User"},
            "commits": [],
        }
        text = json.dumps(body)
        told = {"id": str(uuid.uuid4()), "event": "push", "body": text}
        digest = hashlib.sha256(text.encode()).hexdigest()
        file = self._folder / "delivery.json"
        file.write_text(json.dumps(told | {"body_sha256": digest}), encoding="utf-8")
        return str(file)

    def save_trained(self, version: str, *, promote: bool = True) -> None:
        """Save a training that was handed over, with its version, and its promotion to staging."""
        if self._model_repository is None:
            self._make_model()
        repository, deploy_to = self._model_repository, self._deploy_repository
        assert repository is not None
        assert deploy_to is not None
        head = self._stage.person("GET", f"/repos/{repository.full_name}/git/ref/heads/main")["object"]["sha"]
        training = Training(
            id=f"t-{version}{self._key}",
            cause=Cause(kind="delivery", id="earlier", actor="ada"),
            repository_id=repository.id,
            repository=repository.full_name,
            ref="refs/heads/main",
            commit=head,
            config_path="launchpin.yaml",
            config_sha256=version * 64,
            model=self._model,
        )
        manifest = self._stage.manifests[version]
        write(self._store, StartTraining(training), SaveVersion(_version(training, version, manifest)))
        self._end_training(training, version)
        if promote:
            write(self._store, *self._handed_over(training, version))

    def _end_training(self, training: Training, version: str) -> None:
        claim = take(self._store)
        while claim.kind != "training":
            claim = take(self._store)
        facts = {"version": version, "manifest_sha256": self._stage.manifests[version].digest, "verdict": "pass"}
        end = Exit(training, Done(facts=facts, message="handed over"), step="hand_over", event="handed_over")
        self._store.finish(claim, end)

    def _handed_over(self, training: Training, version: str) -> list[object]:
        deploy_to = self._deploy_repository
        assert deploy_to is not None
        places = (("staging", False), ("production", True))
        environments = [
            Environment(
                repository_id=deploy_to.id,
                repository=deploy_to.full_name,
                path=path,
                name=path,
                is_champion=is_champion,
                model=self._model,
            )
            for path, is_champion in places
        ]
        promotion = Promotion(
            id=f"p-{version}{self._key}",
            cause=Cause(kind="training", id=training.id, actor="ada"),
            training_id=training.id,
            repository_id=deploy_to.id,
            repository=deploy_to.full_name,
            environment="staging",
            path="staging",
            model=self._model,
            version=version,
            merge=MergeMode.AUTO,
        )
        named = [SaveEnvironment(each, ("name", "is_champion", "model")) for each in environments]
        return [*named, OpenPromotion(promotion)]

    def _serve(self, commit: str) -> None:
        """Put version 1 into service, as an earlier rollout did."""
        deploy_to, target = self._deploy_repository, self._stage.host_process.target
        assert deploy_to is not None
        manifest = self._stage.manifests["1"]
        settings = plan_digest({"environment": ENVIRONMENT.key})
        name = configuration_name(self._endpoint, manifest.digest, settings)
        folder = self._folder / "models" / manifest.digest
        folder.mkdir(parents=True)
        for path, text in _texts("1").items():
            (folder / path).write_text(text, encoding="utf-8")
        target.prepare(
            Configuration(
                name=name,
                endpoint=self._endpoint,
                model=self._model,
                version="1",
                model_dir=folder,
                manifest=manifest,
                python=self._stage.python,
                environment_key=ENVIRONMENT.key,
            )
        )
        wait_until(lambda: getattr(target.configuration(name), "readiness", "") == "Ready")
        live = target.apply(self._endpoint, name, bake=timedelta(0))
        serving = Environment(
            repository_id=deploy_to.id,
            repository=deploy_to.full_name,
            path="staging",
            name="staging",
            endpoint=self._endpoint,
            target="local",
            host=target.host(),
            model=self._model,
            tracking_uri=self._stage.tracking.url,
            pinned="1",
            pin_commit=commit,
            serving="1",
            configuration=name,
            url=live.url,
            sync=Sync.SYNCED,
        )
        write(self._store, SaveEnvironment(serving, ()))


def _texts(version: str) -> dict[str, str]:
    return {path: content.decode() for path, content in model_files(version).items()}


def _version(training: Training, version: str, manifest: Manifest) -> Version:
    return Version(
        model=training.model,
        version=version,
        manifest_sha256=manifest.digest,
        manifest=manifest_text(manifest),
        run_id="earlier",
        training_id=training.id,
        repository=training.repository,
        commit=training.commit,
        verdict="pass",
        metrics={"accuracy": "0.95"},
        environment_key=ENVIRONMENT.key,
    )
