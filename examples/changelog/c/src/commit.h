// Conventional commits, as git prints them.

#ifndef COMMIT_H
#define COMMIT_H

#include "oxide.h"

// What is asked of git for each commit: its short id, subject and body, with separators that no message holds.
#define COMMIT_FORMAT "--format=%h%x1f%s%x1f%b%x1e"
// The byte that ends a commit.
#define COMMIT_END 0x1e

// A commit as git prints it.
typedef struct commit {
  oxide_text id;
  oxide_text subject;
  oxide_text body;
} commit;

// A subject that follows the convention: `kind(scope)!: description`.
typedef struct subject {
  oxide_text kind;
  // Empty if it has none.
  oxide_text scope;
  bool is_breaking;
  oxide_text description;
} subject;

// Reads one, without its end. False for the line break behind the last one.
bool commit_parse(oxide_text text, commit *commit);

// Was it made by `git merge`?
bool commit_is_merge(const commit *commit);

// Finds what a line of the body says about a breaking change.
bool commit_breaking_change(const commit *commit, oxide_text *text);

// Reads one. False if it does not follow the convention.
bool subject_parse(oxide_text text, subject *subject);

#endif
