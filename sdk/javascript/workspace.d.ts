/**
 * The top of the workspace. The functions below are its methods.
 * @returns {Directory}
 */
export function workspaceRoot(): Directory;
/** A directory of the workspace and everything below it. No path leads out of it. */
export class Directory {
    /** @param {any} handle The resource of the contract. */
    constructor(handle: any);
    /**
     * Reads a whole file as text. What is no UTF-8 in it becomes U+FFFD.
     * @param {string} path
     * @returns {string}
     */
    read(path: string): string;
    /**
     * Reads a whole file.
     * @param {string} path
     * @returns {Uint8Array}
     */
    readBytes(path: string): Uint8Array;
    /**
     * Reads at most `length` bytes from byte `offset` on. Fewer bytes than asked for mean the end of the file.
     * @param {string} path
     * @param {number} offset
     * @param {number} length
     * @returns {Uint8Array}
     */
    readRange(path: string, offset: number, length: number): Uint8Array;
    /**
     * Writes a whole file, in the place of what was there, and makes the directories above it.
     * @param {string} path
     * @param {string | Uint8Array} contents
     */
    write(path: string, contents: string | Uint8Array): void;
    /**
     * Appends to a file, which is made if it is not there.
     * @param {string} path
     * @param {string | Uint8Array} contents
     */
    append(path: string, contents: string | Uint8Array): void;
    /**
     * Makes a directory and those above it. Nothing happens if it is there.
     * @param {string} path
     */
    createDirectory(path: string): void;
    /**
     * Lists one directory, sorted by name.
     * @param {string} [path]
     * @returns {Entry[]}
     */
    list(path?: string): Entry[];
    /**
     * Finds the files that match a glob (`**` crosses directories), sorted by path.
     * @param {string} pattern
     * @returns {Entry[]}
     */
    glob(pattern: string): Entry[];
    /**
     * Tells what a path leads to, without following a link at its end.
     * @param {string} path
     * @returns {Entry}
     */
    stat(path: string): Entry;
    /**
     * Does this path lead to anything?
     * @param {string} path
     * @returns {boolean}
     */
    exists(path: string): boolean;
    /**
     * Removes a file, a link, or a directory with everything below it.
     * @param {string} path
     */
    remove(path: string): void;
    /**
     * Opens a directory below this one with the rights of this one.
     * @param {string} path
     * @returns {Directory}
     */
    open(path: string): Directory;
    /** Gives the directory back. A step may hold some thousand handles; the engine gives them back late or never. */
    close(): void;
    /**
     * Opens a directory below this one, which may not be written through the answer.
     * @param {string} path
     * @returns {Directory}
     */
    openReadOnly(path: string): Directory;
    #private;
}
/** @type {Directory["read"]} */
export const read: Directory["read"];
/** @type {Directory["readBytes"]} */
export const readBytes: Directory["readBytes"];
/** @type {Directory["readRange"]} */
export const readRange: Directory["readRange"];
/** @type {Directory["write"]} */
export const write: Directory["write"];
/** @type {Directory["append"]} */
export const append: Directory["append"];
/** @type {Directory["createDirectory"]} */
export const createDirectory: Directory["createDirectory"];
/** @type {Directory["list"]} */
export const list: Directory["list"];
/** @type {Directory["glob"]} */
export const glob: Directory["glob"];
/** @type {Directory["stat"]} */
export const stat: Directory["stat"];
/** @type {Directory["exists"]} */
export const exists: Directory["exists"];
/** @type {Directory["remove"]} */
export const remove: Directory["remove"];
/** @type {Directory["open"]} */
export const open: Directory["open"];
/** @type {Directory["openReadOnly"]} */
export const openReadOnly: Directory["openReadOnly"];
export type Entry = {
    /**
     * The path, relative to the directory that was asked.
     */
    path: string;
    /**
     * What it is.
     */
    kind: "file" | "directory" | "symbolic-link" | "other";
    /**
     * The size in bytes; zero for what is not a file.
     */
    size: number;
    /**
     * May it be executed by its owner?
     */
    executable: boolean;
};
