#!/usr/bin/env python3
"""Asks a running server everything that its OpenAPI document says, and much that it does not say.

    OXIDE_TOKEN=oxide_pat_… python api_conformance.py http://127.0.0.1:7780 [MORE ARGUMENTS OF `st run`]

The token is one of an administrator. The server must be one that may be thrown away: things are made, changed and removed
at random. It needs high bounds (OXIDE_SERVER_RATE_LIMIT_PER_TOKEN, _PER_ADDRESS and _SIGN_IN, each 1000000) and an embedded
agent. First the document is checked, then a little of everything is made, so that there are ids to ask for; then
schemathesis does the rest, and what a slow machine did not come to is asked in a second round. Prints how often each
operation was asked. Ends with 1 if anything was found: an answer with 5xx that the document does not name, an answer that
is not in the document, a request that should have been refused, or one that should not; or an operation was never asked.

Needs Python 3.11 or newer and: pip install -r api_conformance.txt
"""

import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
]

# Not asked, and why.
LEFT_OUT = {
    "follow_logs": "its answer does not end before the run does",
    "stream_events": "its answer never ends",
    "open_socket": "it switches to another protocol, which no HTTP client of these speaks",
    "open_run_socket": "it switches to another protocol, which no HTTP client of these speaks",
    "get_start": "a client goes where it is sent, and gets the answer of get_docs",
    "lease_job": "every answer takes half a minute, and the time is bounded",
}
# Asked for what is there at least once, and not only for what is made up.
FOUND = ["download_artifact", "get_plugin", "get_run", "drain_agent", "delete_agent", "delete_project"]
# What fits the schema of these may still be refused, for what it says: a pipeline is more than a text, a signature must be
# right, an agent speaks for itself only, tokens end in the future, a secret of a pipeline names it, git knows the address,
# and nobody can make up a code, a token or the word of a provider.
MEANT = [
    *["set_up", "refresh_session", "begin_sign_in", "finish_sign_in", "join_agent"],
    *["create_project", "update_project"],
    *["create_token", "create_token_of_user", "create_agent_token", "put_secret", "list_secrets", "delete_secret"],
    *["create_pipeline", "update_pipeline", "validate_pipeline", "create_run", "cancel_run", "retry_run"],
    *["receive_github", "receive_gitlab", "receive_gitea", "register_agent", "report_job", "beat_heart", "complete_job"],
]

PIPELINE = """version: "1"
name: conformance
stages:
  build:
    environment: host
    steps: [{ run: echo one; echo two | tee two.txt, artifacts: { name: files, paths: [two.txt] } }]
  release:
    depends_on: [build]
    approval: { approvers: [role:maintainer] }
    environment: host
    steps: [{ run: echo released }]
"""


class Server:
    """A server, and who asks."""

    def __init__(self, address, token):
        self.address, self.token = address, token

    def ask(self, method, path, body=None, **headers):
        """Asks, and reads the answer, which must be good."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | headers
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            sys.exit(f"error: {method} {path} answers {error.code}: {error.read().decode()}")
        return json.loads(text) if text else None

    def own_tokens(self):
        """The ids of the tokens that look like the one that is used."""
        cursor = ""
        while cursor is not None:
            page = self.ask("GET", f"/api/v1/tokens?limit=200&cursor={urllib.parse.quote(cursor)}")
            yield from (token["id"] for token in page["items"] if self.token.startswith(token["prefix"]))
            cursor = page["next_cursor"]

    def run(self, pipeline, until):
        """Starts a run and waits until it comes so far."""
        run = self.ask("POST", f"/api/v1/pipelines/{pipeline}/runs", {})["id"]
        for _ in range(1200):
            status = self.ask("GET", f"/api/v1/runs/{run}")["status"]
            approvals = self.ask("GET", f"/api/v1/approvals?run={run}")["items"]
            if status in ("success", "failure", "cancelled") or (approvals and until == "approval"):
                return run, [approval["id"] for approval in approvals]
            if approvals:
                self.ask("POST", f"/api/v1/approvals/{approvals[0]['id']}/approve", {})
            time.sleep(0.2)
        sys.exit(f"error: the run {run} does not end")


def join(server, name):
    """Lets an agent join and say who it is. It never asks for a job."""
    registration = server.ask("POST", "/api/v1/agent-tokens", {"name": name})["token"]
    agent = server.ask("POST", "/api/v1/agent/join", {"token": registration, "name": name, "slots": 1})
    who = {"agent": agent["id"], "name": name, "labels": ["elsewhere"], "slots": 1}
    server.ask("POST", "/api/v1/agent/register", who, Authorization=f"Bearer {agent['credential']}")
    return agent


def furnish(server):
    """Makes a little of everything.

    Gives what has to stay, the credential of an agent, and the values of parameters that name something. What may be removed
    or changed is there more than once.
    """
    spare = [server.ask("POST", "/api/v1/projects", {"name": f"spare-{number}-{int(time.time())}"})["id"] for number in range(3)]
    project = server.ask("POST", "/api/v1/projects", {"name": f"conformance-{int(time.time())}"})
    me = server.ask("GET", "/api/v1/user")["user"]
    user = server.ask("POST", "/api/v1/users", {"name": f"machine-{int(time.time())}"})
    of_project = f"?project={project['name']}"
    yaml = {"Content-Type": "application/yaml"}
    pipeline = server.ask("POST", f"/api/v1/pipelines{of_project}", PIPELINE.encode(), **yaml)
    sources = [PIPELINE.replace("name: conformance", f"name: spare-{number}") for number in range(3)]
    spare_pipelines = [
        server.ask("POST", f"/api/v1/pipelines{of_project}", source.encode(), **yaml)["id"] for source in sources
    ]
    done, _ = server.run(pipeline["id"], "end")
    waiting, approvals = server.run(pipeline["id"], "approval")
    # The embedded agent, which both runs needed.
    working = [agent["id"] for agent in server.ask("GET", "/api/v1/agents")["items"]]
    server.ask("POST", "/api/v1/secrets", {"project": project["name"], "name": "KEY", "value": "not a secret"})
    server.ask("PUT", f"/api/v1/projects/{project['name']}/webhooks/github", {"secret": "not a secret, long"})
    sent = b'{"repository": {"full_name": "team/web"}}'
    signature = hmac.new(b"not a secret, long", sent, hashlib.sha256).hexdigest()
    github = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}
    delivery = server.ask("POST", f"/api/v1/webhooks/github{of_project}", sent, **github)["delivery"]
    token = server.ask("POST", f"/api/v1/users/{user['name']}/tokens", {"name": "conformance"})["id"]
    agent = join(server, "conformance")
    spare_agents = [join(server, f"spare-{number}")["id"] for number in range(8)]
    plugins = [plugin["digest"] for plugin in server.ask("GET", "/api/v1/plugins")["items"]]
    artifacts = [artifact["name"] for artifact in server.ask("GET", f"/api/v1/runs/{done}/artifacts")["items"]]
    if not plugins or not artifacts:
        sys.exit("error: the run has used no plugin or left no artifact")
    stays = [me["id"], me["name"], project["id"], project["name"], pipeline["id"], agent["id"]]
    own = [*stays, *working, *server.own_tokens()]
    return own, agent["credential"], {
        "path.project": [project["name"], project["id"], *spare],
        "query.project": [project["name"], project["id"]],
        "path.user": [user["name"], user["id"]],
        "path.pipeline": [pipeline["id"], *spare_pipelines],
        "path.version": ["1", "2"],
        "path.run": [done, waiting],
        "path.approval": approvals,
        "path.agent": [*working, agent["id"], *spare_agents],
        "path.artifact": artifacts,
        "path.digest": plugins,
        "path.delivery": [delivery],
        "path.token": [token],
        "path.forge": ["github", "gitlab", "gitea"],
        "path.name": ["KEY"],
    }


def operations(document):
    """The operations of a document by their names."""
    methods = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
    items = (item for path in document["paths"].values() for method, item in path.items() if method in methods)
    return {item["operationId"]: item for item in items}


def settings(values, gateways):
    """The settings of schemathesis, in TOML; what is secret comes from the environment.

    `gateways` ask other servers, and say 502 in the document for those that do not answer.
    """
    lines = [
        'auth.openapi.token = { bearer = "${OXIDE_TOKEN}" }',
        'auth.openapi.agent = { bearer = "${OXIDE_AGENT_CREDENTIAL}" }',
        f"hooks = {json.dumps(str(Path(__file__).resolve()))}",
        "[checks]",
        "enabled = false",
        *(f"{name}.enabled = true" for name in CHECKS),
        # The document cannot say which things are there, nor what contradicts what is there.
        'positive_data_acceptance.expected-statuses = ["2xx", "3xx", 401, 403, 404, 409]',
        "[parameters]",
        *(f'"{name}" = {{ dictionary = "{name}", probability = 0.6 }}' for name in values),
        *(f'[dictionaries."{name}"]\nvalues = {json.dumps(all)}' for name, all in values.items()),
        "[[operations]]",
        f"include-operation-id = {json.dumps(MEANT)}",
        "checks.positive_data_acceptance.enabled = false",
        # What the document names is checked as any answer; a 5xx that it does not name is a finding.
        "[[operations]]",
        f"include-operation-id = {json.dumps(gateways)}",
        'checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 502]',
    ]
    return "\n".join(lines) + "\n"


def read_asked(file, names):
    """How often each operation was asked, and how often with success."""
    asked = {name: [0, 0] for name in names}
    for line in file.read_text().splitlines() if file.exists() else []:
        name, status = line.split()
        asked[name][0] += 1
        asked[name][1] += status.startswith("2")
    return asked


def missing(asked):
    """The operations that were not asked as they should have been."""
    return [name for name, (times, well) in asked.items() if not times or (name in FOUND and not well)]


def main():
    if len(sys.argv) < 2 or "OXIDE_TOKEN" not in os.environ:
        sys.exit("usage: OXIDE_TOKEN=… api_conformance.py ADDRESS [MORE ARGUMENTS OF `st run`]")
    server = Server(sys.argv[1].rstrip("/"), os.environ["OXIDE_TOKEN"])
    from openapi_spec_validator import OpenAPIV31SpecValidator

    document = server.ask("GET", "/api/v1/openapi.json")
    mistakes = [
        f"{'/'.join(map(str, error.path))}: {error.message}"
        for error in OpenAPIV31SpecValidator(document).iter_errors()
    ]
    for mistake in mistakes:
        print(f"the document is not OpenAPI 3.1: {mistake}")
    known = operations(document)
    unknown = sorted({*LEFT_OUT, *FOUND, *MEANT} - set(known))
    if unknown:
        sys.exit(f"error: the document has no operations {', '.join(unknown)}: this script names them")
    wanted = [name for name in known if name not in LEFT_OUT]
    gateways = [name for name in wanted if "502" in known[name]["responses"]]
    own, credential, values = furnish(server)
    environment = os.environ | {"OXIDE_AGENT_CREDENTIAL": credential, "OXIDE_OWN": json.dumps(own)}
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "schemathesis.toml")
        file.write_text(settings(values, gateways))
        notes = Path(place, "asked")
        environment["OXIDE_ASKED"] = str(notes)

        def ask(names, seed):
            command = [
                *[sys.executable, "-m", "schemathesis.cli", "--config-file", str(file), "--no-color"],
                *["run", f"{server.address}/api/v1/openapi.json"],
                *(word for name in names for word in ("--include-operation-id", name)),
                *["--continue-on-failure", "--request-timeout", "60", "--generation-database", "none", "--warnings", "off"],
                *["--max-examples", "20", "--no-shrink", "--seed", str(seed)],
                *sys.argv[2:],
            ]
            return subprocess.run(command, cwd=place, env=environment).returncode != 0

        found = ask(wanted, 1)
        left = missing(read_asked(notes, known))
        left = [name for name in left if name not in LEFT_OUT]
        if left:
            found = ask(left, 2) or found
        asked = read_asked(notes, known)
    print("asked   of them with success")
    for name, (times, well) in sorted(asked.items()):
        print(f"{times:5}   {well:5}   {name}{': ' + LEFT_OUT[name] if name in LEFT_OUT else ''}")
    for name in (name for name in missing(asked) if name not in LEFT_OUT):
        mistakes.append(name)
        print(f"{name} was {'never answered with success' if asked[name][0] else 'never asked'}: give it more time, or a value")
    # All would be refused, and nothing tested, had the token been lost on the way.
    server.ask("GET", "/api/v1/user")
    sys.exit(1 if found or mistakes else 0)


if __name__ == "__main__":
    main()
else:
    import schemathesis

    OWN = json.loads(os.environ.get("OXIDE_OWN", "[]"))
    ASKED = os.environ.get("OXIDE_ASKED")

    @schemathesis.hook
    def before_call(context, case, kwargs):
        """Keeps who asks from disabling itself and from revoking its own token, and what others need from being removed; and
        cursors from being made up."""
        if isinstance(case.query, dict) and isinstance(case.query.get("cursor"), str):
            del case.query["cursor"]
        for name, value in (case.path_parameters or {}).items():
            changes = case.method in ("PATCH", "DELETE") or case.operation.path.endswith("/drain")
            if changes and value in OWN:
                case.path_parameters[name] = "01900000-0000-7000-8000-000000000000"

    @schemathesis.hook
    def after_call(context, case, response):
        """Notes what was asked. Another method than that of the operation asks for something else."""
        operation = case.operation
        if ASKED and case.method.upper() == operation.method.upper():
            with open(ASKED, "a") as notes:
                notes.write(f"{operation.definition.raw['operationId']} {response.status_code}\n")
