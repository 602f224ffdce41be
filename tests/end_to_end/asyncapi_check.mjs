// Checks an AsyncAPI document with the official parser: `node asyncapi_check.mjs DOCUMENT`.
//
// The parser (npm package `@asyncapi/parser`) is looked for from the present directory. Errors and warnings are printed and
// make it fail; what is only a matter of taste is printed.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';

const [path] = process.argv.slice(2);
if (path === undefined) {
  console.error('error: no document was named\nhint: node asyncapi_check.mjs DOCUMENT');
  process.exit(2);
}

const require = createRequire(join(process.cwd(), 'package.json'));
const { Parser, DiagnosticSeverity } = require('@asyncapi/parser');
const severities = ['error', 'warning', 'information', 'hint'];

const { document, diagnostics } = await new Parser().parse(await readFile(path, 'utf8'));
for (const { code, message, severity, path: place } of diagnostics) {
  console.error(`${severities[severity] ?? severity}: ${message} (${code}, at /${place.join('/')})`);
}
const isBad = ({ severity }) => severity === DiagnosticSeverity.Error || severity === DiagnosticSeverity.Warning;
if (document === undefined || diagnostics.some(isBad)) {
  process.exit(1);
}
const count = (collection) => collection.all().length;
console.log(
  `AsyncAPI ${document.version()}: ${count(document.channels())} channels, ${count(document.operations())} operations, ` +
    `${count(document.messages())} messages, ${count(document.schemas())} schemas`,
);
