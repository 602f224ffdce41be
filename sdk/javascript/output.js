// Results for people: remarks on the source, and a summary. Every plugin has it.

import { addSummary, annotate as hostAnnotate } from "oxide:ci/output@0.1.0";
import { host } from "./host.js";

/**
 * @typedef {object} Annotation
 * @property {string} message What there is to say.
 * @property {"notice" | "warning" | "error"} [severity] How serious it is. Default: `warning`.
 * @property {string} [file] The file, relative to the workspace.
 * @property {number} [line] The line, counted from 1.
 */

/**
 * Records a remark on a place in the source. A step may record 1,000.
 * @param {Annotation} annotation
 */
export function annotate({ message, severity = "warning", file, line }) {
  hostAnnotate({ message, severity, file, line });
}

/**
 * Appends markdown to the summary of the step, which holds 1 MiB.
 * @param {string} markdown
 */
export function summary(markdown) {
  host(() => addSummary(markdown));
}
