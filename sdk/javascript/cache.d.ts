/**
 * Puts the files of an entry back to where they were in the workspace.
 * @param {string} key
 * @param {string[]} [fallbackKeys] The newest entry whose key begins with the first of these for which there is one.
 * @returns {CacheEntry | undefined} The entry, if one fits.
 */
export function restore(key: string, fallbackKeys?: string[]): CacheEntry | undefined;
/**
 * Saves files and directories of the workspace under a key. Entries are never changed.
 * @param {string} key
 * @param {string[]} paths Paths and globs relative to the workspace; `!` before one leaves out what it means.
 * @returns {CacheEntry & { isNew: boolean }} The new entry, or the one that was there before.
 */
export function save(key: string, paths: string[]): CacheEntry & {
    isNew: boolean;
};
export type CacheEntry = {
    /**
     * The key that it was saved under.
     */
    key: string;
    /**
     * How many files it holds.
     */
    files: number;
    /**
     * The size of the files in bytes.
     */
    size: number;
    /**
     * The bytes that it takes in the store.
     */
    stored: number;
    /**
     * When it was saved.
     */
    savedAt: Date;
};
