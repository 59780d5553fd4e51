"""The models that the demo plays with, each from the template of its name, and how it is made worse or broken."""

from collections.abc import Mapping
from dataclasses import dataclass

from gitops.cli.scaffold import Template


@dataclass(frozen=True)
class Example:
    """A model of the demo.

    Args:
        template: what its repository begins as; its name is also the model's.
        worse: in launchpin.yaml, what stands there and what makes a model that fails its gates.
        why_worse: that change as a commit's message.
        served: in train.py, the name of the model that is logged.
    """

    template: Template
    worse: tuple[str, str]
    why_worse: str
    served: str

    @property
    def model(self) -> str:
        """The registered model, and the folder of its clone."""
        return self.template.value

    @property
    def repository(self) -> str:
        """The model repository."""
        return f"acme/{self.model}"

    @property
    def deploy(self) -> str:
        """The deploy repository."""
        return f"{self.repository}-deploy"


EXAMPLES: Mapping[str, Example] = {
    example.model: example
    for example in (
        Example(Template.IRIS, ("max_depth: 3,", "max_depth: 1,"), "Try a shallower tree", "tree"),
        Example(Template.CHURN, ("algorithms: all,", "algorithms: knn,"), "Look at neighbours alone", "model"),
    )
}
