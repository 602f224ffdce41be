import assert from "node:assert/strict";
import test from "node:test";

import { bumpOf, insert, readLog, sectionOf } from "./changelog.ts";

const log = (...commits) => commits.map((fields) => `${fields.join("\x1f")}\x1e\n`).join("");

test("a subject has a type, and perhaps a scope and a mark", () => {
  const { commits, unconventional, count } = readLog(
    log(["a", "feat: x", ""], ["b", "fix(ui)!: y", ""], ["c", "quick fix", ""], ["d", "Merge branch 'x'", ""]) +
      log(["e", "feat(): x", ""], ["f", "feat:x", ""], ["g", "fix2: x", ""], ["h", "fix (a): x", ""], ["i", "feat:  ", ""]),
  );
  assert.deepEqual(commits, [
    { hash: "a", type: "feat", scope: undefined, text: "x", breaking: false },
    { hash: "b", type: "fix", scope: "ui", text: "y", breaking: true },
  ]);
  assert.deepEqual(unconventional.map(({ hash }) => hash), ["c", "e", "f", "g", "h", "i"]);
  assert.equal(unconventional[0].subject, "quick fix");
  assert.equal(count, 9);
});

test("a line of the body makes a commit breaking", () => {
  const { commits } = readLog(log(["a", "fix: x", "Why.\n\nBREAKING-CHANGE: gone\n"], ["b", "fix: y", "No BREAKING CHANGE: no"]));
  assert.deepEqual(commits.map(({ breaking, text }) => [breaking, text]), [[true, "gone"], [false, "y"]]);
});

test("the strongest commit decides about the version", () => {
  const bump = (...subjects) => bumpOf(readLog(log(...subjects.map((subject) => ["a", subject, ""]))).commits);
  assert.equal(bump(), "none");
  assert.equal(bump("docs: x"), "none");
  assert.equal(bump("docs: x", "perf: x"), "patch");
  assert.equal(bump("fix: x", "feat: x"), "minor");
  assert.equal(bump("feat: x", "chore!: x"), "major");
});

test("sections without commits are left out", () => {
  assert.equal(sectionOf("1.0.0", []), "## 1.0.0\n\nNo changes that users notice.\n");
  const { commits } = readLog(log(["a", "fix(ui): x", ""], ["b", "feat!: y", ""]));
  assert.equal(sectionOf("2", commits), "## 2\n\n### Breaking changes\n\n- y (b)\n\n### Fixes\n\n- **ui:** x (a)\n");
});

test("the section stands below the title, or on top", () => {
  assert.equal(insert("S\n", undefined), "# Changelog\n\nS\n");
  assert.equal(insert("S\n", "# T\n\n\n## 1\n"), "# T\n\n\nS\n\n## 1\n");
  assert.equal(insert("S\n", "intro\n# T\ntext\n"), "intro\n# T\nS\n\ntext\n");
  assert.equal(insert("S\n", "# T"), "# T\n\nS\n\n");
  assert.equal(insert("S\n", "## 1\n"), "S\n\n## 1\n");
});
