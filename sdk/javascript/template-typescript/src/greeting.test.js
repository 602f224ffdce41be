import assert from "node:assert/strict";
import test from "node:test";

import { greetingFor } from "./greeting.ts";

test("says hello", () => {
  assert.equal(greetingFor("Ada", false), "Hello, Ada!");
});

test("shouts", () => {
  assert.equal(greetingFor("Zoë", true), "HELLO, ZOË!");
});
