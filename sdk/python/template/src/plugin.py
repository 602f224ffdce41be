"""Greets somebody."""

from greeting import greeting
from oxide import InvalidInput, log
from wit_world import Inputs, Outputs


def run(inputs: Inputs) -> Outputs:
    """What the step does. A `Failure` that is raised here fails the step, and so does any other exception."""
    if inputs.name == "":
        raise InvalidInput("`name` is empty: write who to greet")
    text = greeting(inputs.name, shout=inputs.shout is True)
    log.info(text)
    return Outputs(greeting=text)
