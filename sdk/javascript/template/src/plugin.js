// Greets somebody. The host calls `run`; what is thrown here fails the step.

import { invalidInput } from "../oxide-sdk/failure.js";
import * as log from "../oxide-sdk/log.js";
import { greetingFor } from "./greeting.js";

/**
 * @param {import("../oxide-sdk/world.js").Inputs} inputs
 * @returns {import("../oxide-sdk/world.js").Outputs}
 */
export function run({ name, shout = false }) {
  if (name === "") invalidInput("`name` is empty: write who to greet");
  const greeting = greetingFor(name, shout);
  log.info(greeting);
  return { greeting };
}
