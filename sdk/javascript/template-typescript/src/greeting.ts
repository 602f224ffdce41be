// What is said. Knows nothing of plugins, so it is tested as any other TypeScript.

/** The greeting for somebody. */
export function greetingFor(name: string, shout: boolean): string {
  const text = `Hello, ${name}!`;
  return shout ? text.toUpperCase() : text;
}
