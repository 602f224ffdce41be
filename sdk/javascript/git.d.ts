/**
 * @typedef {object} CheckoutOptions
 * @property {string} [path] The directory of the workspace that gets the files. Default: its top.
 * @property {string} [ref] A branch, a tag, a full reference or a commit id. Default: the default branch of the remote.
 * @property {number} [depth] How many commits of history to fetch. Default: all.
 * @property {boolean} [submodules] Fetch submodules, and theirs, too.
 * @property {string[]} [sparse] Check out these directories only. Default: everything.
 */
/**
 * @typedef {object} Commit
 * @property {string} id The commit id, as hexadecimal digits.
 * @property {string} [branch] The branch that was asked for, if it was one.
 * @property {string} [tag] The tag that was asked for, if it was one.
 * @property {string} authorName The name of the author.
 * @property {string} authorEmail The e-mail address of the author.
 * @property {Date} committedAt When it was committed.
 * @property {string} subject The first line of its message.
 */
/**
 * Fetches a commit and puts its files into the workspace.
 * @param {string} remote A URL (https, ssh, git, file) or a local path.
 * @param {CheckoutOptions} [options]
 * @returns {Commit}
 */
export function checkout(remote: string, { path, ref, depth, submodules, sparse }?: CheckoutOptions): Commit;
export type CheckoutOptions = {
    /**
     * The directory of the workspace that gets the files. Default: its top.
     */
    path?: string | undefined;
    /**
     * A branch, a tag, a full reference or a commit id. Default: the default branch of the remote.
     */
    ref?: string | undefined;
    /**
     * How many commits of history to fetch. Default: all.
     */
    depth?: number | undefined;
    /**
     * Fetch submodules, and theirs, too.
     */
    submodules?: boolean | undefined;
    /**
     * Check out these directories only. Default: everything.
     */
    sparse?: string[] | undefined;
};
export type Commit = {
    /**
     * The commit id, as hexadecimal digits.
     */
    id: string;
    /**
     * The branch that was asked for, if it was one.
     */
    branch?: string | undefined;
    /**
     * The tag that was asked for, if it was one.
     */
    tag?: string | undefined;
    /**
     * The name of the author.
     */
    authorName: string;
    /**
     * The e-mail address of the author.
     */
    authorEmail: string;
    /**
     * When it was committed.
     */
    committedAt: Date;
    /**
     * The first line of its message.
     */
    subject: string;
};
