"""Runs the steps of this template as the engine runs them, with a model that is a dictionary.

Each step is a process with NINJA_REQUEST set and the workspace as its working
directory.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile

TEMPLATE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = os.path.join(TEMPLATE, "scripts")


class StepFailed(Exception):
    """A script exited with an error; the message is its last line."""


class Task:
    """One task over some files in a workspace of its own."""

    def __init__(self, files, goal="", params=None, small=False):
        self._directory = tempfile.TemporaryDirectory()
        self.workspace = os.path.join(self._directory.name, "workspace")
        os.makedirs(os.path.join(self.workspace, "inputs"))
        self.request = {
            "goal": goal,
            "params": params or {},
            "inputs": [self._input(name, data) for name, data in files.items()],
            "steps": {},
            "provider": {"name": "local", "model": "test-model", "label": "small local model" if small else None},
        }
        with open(os.path.join(TEMPLATE, "template.toml"), "rb") as handle:
            self.manifest = tomllib.load(handle)

    def close(self):
        self._directory.cleanup()

    def _input(self, name, data):
        data = data.encode("utf-8") if isinstance(data, str) else data
        with open(os.path.join(self.workspace, "inputs", name), "wb") as handle:
            handle.write(data)
        digest = hashlib.sha256(data).hexdigest()
        return {"path": f"inputs/{name}", "name": name, "bytes": len(data), "sha256": digest}

    def run(self, answers=None):
        """Every step in the plan's order; `answers` holds what the model says in each."""
        answers = answers or {}
        for step in self.manifest["steps"]:
            if "when" in step and not self._holds(step["when"]):
                self.finish(step["id"], None, "skipped")
            elif step["kind"] == "agent":
                said = answers.get(step["id"])
                self.finish(step["id"], said, "succeeded" if said is not None else "failed")
            elif step["kind"] == "map":
                self.finish(step["id"], answers.get(step["id"], []))
            else:
                self.step(step["id"], step["args"]["script"])
        return self.check()

    def _holds(self, path):
        value = {"steps": self.request["steps"], "params": self.request["params"]}
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value is not None and value is not False

    def step(self, step_id, script=None):
        done = self._process(script or f"scripts/{step_id}.py")
        if done.returncode:
            raise StepFailed(done.stderr.strip().splitlines()[-1])
        assert len(done.stdout) < 64 * 1024, "a step's output must stay below 64 KB"
        output = json.loads(done.stdout)
        self.finish(step_id, output)
        return output

    def finish(self, step_id, output, status="succeeded"):
        self.request["steps"][step_id] = {"status": status, "output": output}

    def check(self):
        """What the contract's command says: None where it holds."""
        done = self._process("scripts/check.py")
        assert done.returncode in (0, 1), done.stderr
        return done.stderr.strip() if done.returncode else None

    def _process(self, script):
        path = os.path.join(self._directory.name, "request.json")
        with open(path, "w", encoding="utf-8") as handle:
            json.dump(self.request, handle)
        return subprocess.run(
            [sys.executable, "-B", os.path.join(TEMPLATE, script)],
            cwd=self.workspace,
            env={"NINJA_REQUEST": path, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )

    def output(self, step_id):
        return self.request["steps"][step_id]["output"]

    def made(self, path):
        with open(os.path.join(self.workspace, path), encoding="utf-8", newline="") as handle:
            return handle.read()

    def write(self, path, text):
        whole = os.path.join(self.workspace, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w", encoding="utf-8", newline="") as handle:
            handle.write(text)

    def has(self, path):
        return os.path.exists(os.path.join(self.workspace, path))


def zipped(files):
    """An archive with these files."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()
