// Conventional commits and the text that is made of them. Knows nothing of plugins, so it is tested as any other TypeScript.

/** For `git log`: the hash, the subject and the body of each commit, with separators that no message has. */
export const LOG_FORMAT = "%h%x1f%s%x1f%b%x1e";

/** A commit whose subject is `type(scope)!: description`. */
export interface Commit {
  hash: string;
  type: string;
  scope: string | undefined;
  /** What is listed. */
  text: string;
  breaking: boolean;
}

/** What `git log` printed. */
export interface Log {
  commits: Commit[];
  /** Commits with another subject; merges are left out. */
  unconventional: { hash: string; subject: string }[];
  /** How many commits there are. */
  count: number;
}

export type Bump = "none" | "patch" | "minor" | "major";

const CONVENTIONAL = /^([A-Za-z]+)(?:\(([^()]+)\))?(!?): \s*(\S.*)$/;
const BREAKING_LINE = /^BREAKING[ -]CHANGE: (.*)$/m;

/** The sections in their order, each with what belongs to it. */
const SECTIONS: [title: string, belongs: (commit: Commit) => boolean][] = [
  ["Breaking changes", (commit) => commit.breaking],
  ["Features", (commit) => commit.type === "feat" && !commit.breaking],
  ["Fixes", (commit) => commit.type === "fix" && !commit.breaking],
  ["Performance", (commit) => commit.type === "perf" && !commit.breaking],
];

export function readLog(text: string): Log {
  const records = text.split("\x1e").filter((record) => record.trim() !== "");
  const commits: Commit[] = [];
  const unconventional: Log["unconventional"] = [];
  for (const record of records) {
    const [hash = "", subject = "", body = ""] = record.trimStart().split("\x1f");
    const commit = conventional(hash, subject, body);
    if (commit) commits.push(commit);
    else if (!subject.startsWith("Merge ")) unconventional.push({ hash, subject });
  }
  return { commits, unconventional, count: records.length };
}

function conventional(hash: string, subject: string, body: string): Commit | undefined {
  const parts = CONVENTIONAL.exec(subject);
  if (!parts) return undefined;
  const [, type = "", scope, mark, description = ""] = parts;
  const footer = body.includes("BREAKING") ? BREAKING_LINE.exec(body) : null;
  return { hash, type, scope, text: (footer?.[1] || description).trim(), breaking: mark === "!" || footer !== null };
}

/** How much the version must rise. */
export function bumpOf(commits: Commit[]): Bump {
  if (commits.some(({ breaking }) => breaking)) return "major";
  if (commits.some(({ type }) => type === "feat")) return "minor";
  if (commits.some(({ type }) => type === "fix" || type === "perf")) return "patch";
  return "none";
}

/** The section in markdown. */
export function sectionOf(heading: string, commits: Commit[]): string {
  const parts = [`## ${heading}\n`];
  for (const [title, belongs] of SECTIONS) {
    const lines = commits.filter(belongs).map(line);
    if (lines.length > 0) parts.push(`### ${title}\n`, `${lines.join("\n")}\n`);
  }
  if (parts.length === 1) parts.push("No changes that users notice.\n");
  return parts.join("\n");
}

function line({ hash, scope, text }: Commit): string {
  return `- ${scope ? `**${scope}:** ` : ""}${text} (${hash})`;
}

/** Puts a section on top of a changelog, below its title, if it has one. Without a changelog it makes one. */
export function insert(section: string, old?: string): string {
  if (old === undefined) return `# Changelog\n\n${section}`;
  const title = /^# .*\n?(?:[ \t\r]*\n)*/m.exec(old);
  const place = title ? title.index + title[0].length : 0;
  const [above, below] = [old.slice(0, place), old.slice(place)];
  const lineBreak = above === "" || above.endsWith("\n") ? "" : "\n\n";
  return `${above}${lineBreak}${section}\n${below}`;
}
