"""Greets, in Python."""

import encodings.idna  # Looked up by its name when a connection is made.
from http.client import HTTPConnection

import wit_world
from componentize_py_types import Err
from wit_world.imports.types import Failure_Other


class WitWorld(wit_world.WitWorld):
    def run(self, inputs: wit_world.Inputs) -> wit_world.Outputs:
        if inputs.name == "nobody":
            raise Err(Failure_Other("there is nobody to greet"))
        if inputs.name == "bug":
            raise TypeError("a bug in this plugin")
        while inputs.name == "forever":
            pass
        if inputs.name.startswith("localhost:"):
            connection = HTTPConnection(inputs.name)
            connection.request("GET", "/echo", headers={"x-token": "python"})
            return wit_world.Outputs(connection.getresponse().read().decode())
        greeting = f"Hello, {inputs.name}!"
        return wit_world.Outputs(greeting.upper() if inputs.shout else greeting)
