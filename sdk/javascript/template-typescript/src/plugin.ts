// Greets somebody. The host calls `run`; what is thrown here fails the step.

import { invalidInput } from "../oxide-sdk/failure.js";
import * as log from "../oxide-sdk/log.js";
import type { Inputs, Outputs } from "../oxide-sdk/world.js";
import { greetingFor } from "./greeting.js";

export function run({ name, shout = false }: Inputs): Outputs {
  if (name === "") invalidInput("`name` is empty: write who to greet");
  const greeting = greetingFor(name, shout);
  log.info(greeting);
  return { greeting };
}
