/**
 * Builds an image. What the build prints goes to the log of the step.
 * @param {BuildOptions} [options]
 * @returns {Image}
 */
export function build(options?: BuildOptions): Image;
/**
 * An image that the engine has, by name or id.
 * @param {string} reference
 * @returns {Image}
 */
export function image(reference: string): Image;
/**
 * @typedef {object} BuildOptions
 * @property {string} [context] The directory of the workspace that is the build context. Default: its top.
 * @property {string} [dockerfile] The Dockerfile, relative to the context. Default: `Dockerfile`.
 * @property {string} [target] The stage of the Dockerfile to build. Default: the last one.
 * @property {Record<string, string>} [buildArgs] Names and values for `ARG`.
 * @property {Record<string, string>} [labels] Labels of the image.
 * @property {string[]} [tags] Names with tags that the image gets, such as `registry.example/app:1.2`.
 * @property {boolean} [noCache] Do not use layers of earlier builds.
 */
/** An image that the engine has. */
export class Image {
    /** @param {any} handle The resource of the contract. */
    constructor(handle: any);
    /** @type {string} SHA-256 of its configuration, as `sha256:` and 64 hexadecimal digits. */
    id: string;
    /**
     * Gives it another name.
     * @param {string} reference
     */
    tag(reference: string): void;
    /**
     * Gives it this name and pushes it to the registry that the name begins with.
     * @param {string} reference
     * @param {{ username: string, password: string }} [credentials] Placeholders of secrets become their values.
     * @returns {string} The digest of the manifest in the registry.
     */
    push(reference: string, credentials?: {
        username: string;
        password: string;
    }): string;
    #private;
}
export type BuildOptions = {
    /**
     * The directory of the workspace that is the build context. Default: its top.
     */
    context?: string | undefined;
    /**
     * The Dockerfile, relative to the context. Default: `Dockerfile`.
     */
    dockerfile?: string | undefined;
    /**
     * The stage of the Dockerfile to build. Default: the last one.
     */
    target?: string | undefined;
    /**
     * Names and values for `ARG`.
     */
    buildArgs?: Record<string, string> | undefined;
    /**
     * Labels of the image.
     */
    labels?: Record<string, string> | undefined;
    /**
     * Names with tags that the image gets, such as `registry.example/app:1.2`.
     */
    tags?: string[] | undefined;
    /**
     * Do not use layers of earlier builds.
     */
    noCache?: boolean | undefined;
};
