// Facts about the run that the step belongs to. Every plugin has it.

import { get } from "oxide:ci/run-info@0.1.0";

/**
 * @typedef {object} RunInfo
 * @property {string} pipeline The name of the pipeline.
 * @property {string} run The id of the run.
 * @property {number} runNumber The number of the run within its pipeline, counted from 1.
 * @property {string} stage The name of the stage.
 * @property {string} job The name of the job: the stage with its matrix values.
 * @property {string} step The id of the step, or its name where it has no id.
 * @property {number} attempt Which try of the job this is, counted from 1.
 * @property {Record<string, string>} matrix The values of the job's matrix cell.
 * @property {string} [commit] The commit that the run is about.
 * @property {string} [ref] The full git reference that the run is about, such as `refs/heads/main`.
 * @property {string} [repository] The repository that the run is about: a URL, or a path for a local run.
 * @property {string} trigger `manual`, `push`, `pull_request`, `tag`, `schedule` or `upstream`.
 */

/**
 * Tells where the step stands.
 * @returns {RunInfo}
 */
export function runInfo() {
  const info = get();
  return {
    ...info,
    runNumber: Number(info.runNumber),
    matrix: Object.fromEntries(info.matrix),
    commit: info.commit ?? undefined,
    ref: info.ref ?? undefined,
    repository: info.repository ?? undefined,
  };
}
