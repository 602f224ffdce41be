#!/usr/bin/env python3
"""Asks a running server everything that its OpenAPI document says, and much that it does not say.

    OXIDE_TOKEN=oxide_pat_… python api_conformance.py http://127.0.0.1:7780 [MORE ARGUMENTS OF `st run`]

The token is one of an administrator. The server must be one that may be thrown away: things are made, changed and removed
at random. It needs high bounds (OXIDE_SERVER_RATE_LIMIT_PER_TOKEN=1000000 OXIDE_SERVER_RATE_LIMIT_PER_ADDRESS=1000000)
and an embedded agent. First the document is checked, then a little of everything is made, so that there are ids to ask
for; then schemathesis does the rest. Ends with 1 if anything was found: an answer with 5xx, an answer that is not in the
document, a request that should have been refused, or one that should not.

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

# Not asked: streams and sockets never end, `lease_job` waits for half a minute, and without agents no run would end.
LEFT_OUT = ["follow_logs", "stream_events", "open_socket", "open_run_socket", "lease_job", "delete_agent", "drain_agent"]
# Attempts to sign in are so few that nearly every answer would be 429.
SIGN_IN = ["set_up", "refresh_session", "begin_sign_in", "finish_sign_in", "join_agent"]
# What fits the schema of these may still be refused, for what it says: a pipeline is more than a text, a signature must be
# right, an agent speaks for itself only, tokens end in the future, a secret of a pipeline names it, git knows the address.
MEANT = [
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
    steps: [{ run: echo one; echo two }]
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
            with urllib.request.urlopen(request, timeout=30) as answer:
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
        for _ in range(300):
            status = self.ask("GET", f"/api/v1/runs/{run}")["status"]
            approvals = self.ask("GET", f"/api/v1/approvals?run={run}")["items"]
            if status in ("success", "failure", "cancelled") or (approvals and until == "approval"):
                return run, [approval["id"] for approval in approvals]
            if approvals:
                self.ask("POST", f"/api/v1/approvals/{approvals[0]['id']}/approve", {})
            time.sleep(0.2)
        sys.exit(f"error: the run {run} does not end")


def furnish(server):
    """Makes a little of everything. Gives the values of parameters that name something, and the credential of an agent."""
    project = server.ask("POST", "/api/v1/projects", {"name": f"conformance-{int(time.time())}"})
    me = server.ask("GET", "/api/v1/user")["user"]
    user = server.ask("POST", "/api/v1/users", {"name": f"machine-{int(time.time())}"})
    of_project = f"?project={project['name']}"
    pipeline = server.ask("POST", f"/api/v1/pipelines{of_project}", PIPELINE.encode(), **{"Content-Type": "application/yaml"})
    done, _ = server.run(pipeline["id"], "end")
    waiting, approvals = server.run(pipeline["id"], "approval")
    server.ask("POST", "/api/v1/secrets", {"project": project["name"], "name": "KEY", "value": "not a secret"})
    server.ask("PUT", f"/api/v1/projects/{project['name']}/webhooks/github", {"secret": "not a secret, long"})
    sent = b'{"repository": {"full_name": "team/web"}}'
    signature = hmac.new(b"not a secret, long", sent, hashlib.sha256).hexdigest()
    github = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}
    delivery = server.ask("POST", f"/api/v1/webhooks/github{of_project}", sent, **github)["delivery"]
    token = server.ask("POST", f"/api/v1/users/{user['name']}/tokens", {"name": "conformance"})["id"]
    registration = server.ask("POST", "/api/v1/agent-tokens", {"name": "conformance"})["token"]
    agent = server.ask("POST", "/api/v1/agent/join", {"token": registration, "name": "conformance", "slots": 1})
    return me, agent["credential"], {
        "path.project": [project["name"], project["id"]],
        "query.project": [project["name"], project["id"]],
        "path.user": [user["name"], user["id"]],
        "path.pipeline": [pipeline["id"]],
        "path.version": ["1", "2"],
        "path.run": [done, waiting],
        "path.approval": approvals,
        "path.agent": [agent["id"]],
        "path.delivery": [delivery],
        "path.token": [token],
        "path.forge": ["github", "gitlab", "gitea"],
        "path.name": ["KEY"],
    }


def settings(values):
    """The settings of schemathesis, in TOML; what is secret comes from the environment."""
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
        # A repository that was made up cannot be read, which is no mistake of the server.
        "[[operations]]",
        'include-operation-id = ["create_run"]',
        'checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 502]',
    ]
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) < 2 or "OXIDE_TOKEN" not in os.environ:
        sys.exit("usage: OXIDE_TOKEN=… api_conformance.py ADDRESS [MORE ARGUMENTS OF `st run`]")
    server = Server(sys.argv[1].rstrip("/"), os.environ["OXIDE_TOKEN"])
    from openapi_spec_validator import OpenAPIV31SpecValidator

    mistakes = [
        f"{'/'.join(map(str, error.path))}: {error.message}"
        for error in OpenAPIV31SpecValidator(server.ask("GET", "/api/v1/openapi.json")).iter_errors()
    ]
    for mistake in mistakes:
        print(f"the document is not OpenAPI 3.1: {mistake}")
    me, credential, values = furnish(server)
    own = [me["id"], me["name"], *server.own_tokens()]
    environment = os.environ | {"OXIDE_AGENT_CREDENTIAL": credential, "OXIDE_OWN": json.dumps(own)}
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "schemathesis.toml")
        file.write_text(settings(values))
        left_out = [word for name in LEFT_OUT + SIGN_IN for word in ("--exclude-operation-id", name)]
        command = [
            *[sys.executable, "-m", "schemathesis.cli", "--config-file", str(file), "--no-color"],
            *["run", f"{server.address}/api/v1/openapi.json", *left_out],
            *["--continue-on-failure", "--request-timeout", "30", "--generation-database", "none", "--warnings", "off"],
            *["--max-examples", "20", "--no-shrink", "--seed", "1"],
            *sys.argv[2:],
        ]
        found = subprocess.run(command, cwd=place, env=environment).returncode != 0
    # All would be refused, and nothing tested, had the token been lost on the way.
    server.ask("GET", "/api/v1/user")
    sys.exit(1 if found or mistakes else 0)


if __name__ == "__main__":
    main()
else:
    import schemathesis

    OWN = json.loads(os.environ.get("OXIDE_OWN", "[]"))

    @schemathesis.hook
    def before_call(context, case, kwargs):
        """Keeps who asks from disabling itself and from revoking its own token; and cursors from being made up."""
        if isinstance(case.query, dict) and isinstance(case.query.get("cursor"), str):
            del case.query["cursor"]
        for name, value in (case.path_parameters or {}).items():
            if case.method in ("PATCH", "DELETE") and value in OWN:
                case.path_parameters[name] = "01900000-0000-7000-8000-000000000000"
