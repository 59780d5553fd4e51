"""Where a walked case begins. Each scene is a part of the loop that is cut at every place.

What a scene begins with is what the one before it ends with, so that together they are the whole loop: trained and
judged, proposed and merged, rolled out, rolled back, anchored.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.faults.walker_setting import Scene, Setting
from tests.faults.walker_stage import Stage

__all__ = ["SCENES", "Make", "Scene"]

Make = Callable[[Stage, Path, str], Scene]


def train(stage: Stage, folder: Path, database: str) -> Scene:
    """Begin with a push to a model repository that has nothing to deploy to."""
    return Setting(stage, folder, database, is_new=True).train("train")


def build(stage: Stage, folder: Path, database: str) -> Scene:
    """Begin with the same, in an environment that is resolved and built on the way."""
    return Setting(stage, folder, database, is_new=True).train("build", environments=str(folder / "environments"))


def loop(stage: Stage, folder: Path, database: str) -> Scene:
    """Begin with a push that goes all the way: trained, judged, pinned, merged, in service, proposed for the next."""
    setting = Setting(stage, folder, database, is_new=True)
    setting.make_deploy(version="")
    return setting.train("loop")


def promote(stage: Stage, folder: Path, database: str) -> Scene:
    """Begin with a version that was handed over: it is proposed and merged, and its rollout is opened."""
    setting = Setting(stage, folder, database)
    setting.make_deploy(version="")
    setting.save_trained("1")
    return setting.scene("promote", parked="rollout")


def again(stage: Stage, folder: Path, database: str) -> Scene:
    """Begin with the same where a branch of ours is left from a proposal that came to nothing: it makes way."""
    setting = Setting(stage, folder, database)
    base = setting.make_deploy(version="")
    setting.leave_branch(base)
    setting.save_trained("1")
    return setting.scene("again", parked="rollout")


def roll(stage: Stage, folder: Path, database: str) -> Scene:
    """Begin with a person's pin of version 1 where nothing serves: it comes into service, and goes to the next."""
    setting = Setting(stage, folder, database)
    sha = setting.make_deploy(version="1")
    setting.save_trained("1", promote=False)
    return setting.follow_push("roll", sha, parked="promotion")


def back(stage: Stage, folder: Path, database: str) -> Scene:
    """Begin with a person's pin of version 2 where version 1 serves; version 2 fails its bake."""
    return Setting(stage, folder, database).go_back("back", write="commit")


def back_by_pull(stage: Stage, folder: Path, database: str) -> Scene:
    """Begin with the same where the pin that serves is proposed, not committed."""
    return Setting(stage, folder, database).go_back("back_by_pull", write="pull_request")


def anchor(stage: Stage, folder: Path, database: str) -> Scene:
    """Begin with heads to be signed and anchored, and nothing else to do."""
    setting = Setting(stage, folder, database)
    setting.make_deploy(version="")
    return setting.scene("anchor", is_anchored=True)


SCENES: Mapping[str, Make] = {
    "train": train,
    "build": build,
    "promote": promote,
    "again": again,
    "roll": roll,
    "back": back,
    "back_by_pull": back_by_pull,
    "anchor": anchor,
    "loop": loop,
}
