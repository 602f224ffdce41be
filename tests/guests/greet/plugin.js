// Greets, in JavaScript.

export function run({ name, shout }) {
  if (name === "nobody") throw { tag: "other", val: "there is nobody to greet" };
  if (name === "bug") throw new TypeError("a bug in this plugin");
  while (name === "forever");
  const greeting = `Hello, ${name}!`;
  return { greeting: shout ? greeting.toUpperCase() : greeting };
}
