/**
 * Keeps files of the workspace under a name.
 * @param {string} name
 * @param {string[]} paths Paths and globs relative to the workspace; `!` before one leaves out what it means.
 * @param {{ retentionDays?: number }} [options]
 * @returns {Artifact}
 */
export function upload(name: string, paths: string[], { retentionDays }?: {
    retentionDays?: number;
}): Artifact;
/**
 * Puts the files of an artifact of this run below a directory of the workspace.
 * @param {string} name
 * @param {string} [directory] Default: the top of the workspace.
 * @returns {Artifact}
 */
export function download(name: string, directory?: string): Artifact;
/**
 * The artifacts that the run has so far, sorted by name.
 * @returns {Artifact[]}
 */
export function list(): Artifact[];
export type Artifact = {
    /**
     * Its name, unique within the run.
     */
    name: string;
    /**
     * How many files it holds.
     */
    files: number;
    /**
     * The size of the files in bytes.
     */
    size: number;
    /**
     * SHA-256 of what is stored, as `sha256:` and 64 hexadecimal digits.
     */
    digest: string;
    /**
     * When it expires.
     */
    expiresAt: Date;
};
