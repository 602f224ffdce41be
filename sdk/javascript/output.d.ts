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
export function annotate({ message, severity, file, line }: Annotation): void;
/**
 * Appends markdown to the summary of the step, which holds 1 MiB.
 * @param {string} markdown
 */
export function summary(markdown: string): void;
export type Annotation = {
    /**
     * What there is to say.
     */
    message: string;
    /**
     * How serious it is. Default: `warning`.
     */
    severity?: "error" | "warning" | "notice" | undefined;
    /**
     * The file, relative to the workspace.
     */
    file?: string | undefined;
    /**
     * The line, counted from 1.
     */
    line?: number | undefined;
};
