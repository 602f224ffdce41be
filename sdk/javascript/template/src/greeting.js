// What is said. Knows nothing of plugins, so it is tested as any other JavaScript.

/**
 * The greeting for somebody.
 * @param {string} name
 * @param {boolean} shout
 */
export function greetingFor(name, shout) {
  const text = `Hello, ${name}!`;
  return shout ? text.toUpperCase() : text;
}
