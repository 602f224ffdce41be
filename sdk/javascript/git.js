// Commits of remotes: `import { checkout } from "../oxide-sdk/git.js"`. The host holds the credentials.
//
// The world needs `import oxide:ci/git@0.1.0;`, and the step `grants: { git: true }`.

import { open } from "oxide:ci/git@0.1.0";
import { host, release } from "./host.js";

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
export function checkout(remote, { path = ".", ref, depth, submodules = false, sparse = [] } = {}) {
  const repository = host(() => open(remote));
  try {
    const commit = host(() => repository.checkout(path, { ref, depth, submodules, sparse }));
    return {
      ...commit,
      branch: commit.branch ?? undefined,
      tag: commit.tag ?? undefined,
      committedAt: new Date(Number(commit.committedAt) * 1000),
    };
  } finally {
    release(repository);
  }
}
