"""The demo's models are there as templates, with the places at which its acts change them."""

import pytest

from gitops.cli.demo.examples import EXAMPLES
from gitops.cli.scaffold import Kind, Names, Template, fill_template
from gitops.config.launchpin import parse_launchpin


def test_each_template_can_be_played() -> None:
    assert [example.template for example in EXAMPLES.values()] == list(Template)


@pytest.mark.parametrize("name", EXAMPLES)
def test_templates_files_have_what_the_acts_change(name: str) -> None:
    example = EXAMPLES[name]
    files = fill_template(Kind.MODEL, Names(example.model, example.deploy), template=example.template)
    good, script = files["launchpin.yaml"].decode(), files["train.py"].decode()
    old, new = example.worse

    assert good.count(old) == 1
    parameters = [
        parse_launchpin(text.encode(), file="launchpin.yaml").train.parameters
        for text in (good, good.replace(old, new))
    ]
    assert parameters[0].keys() == parameters[1].keys()
    assert len(parameters[0].items() - parameters[1].items()) == 1
    for place in (f"            {example.served},\n            name=", "\ndef main() -> None:", "import argparse\n"):
        assert script.count(place) == 1
