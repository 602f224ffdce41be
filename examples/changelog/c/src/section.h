// The section of the changelog, and its place in the file.

#ifndef SECTION_H
#define SECTION_H

#include "commit.h"

// The groups of the section, in the order of the page.
enum group { GROUP_BREAKING, GROUP_FEATURES, GROUP_FIXES, GROUP_PERFORMANCE, GROUPS };

// The lines of each group, as markdown. Begin with {0}.
typedef struct section {
  oxide_buffer lines[GROUPS];
} section;

// Lists a commit, if users notice it.
void section_add(section *section, const commit *commit, const subject *subject);

// How much the version must rise because of what is listed.
plugin_bump_t section_bump(const section *section);

// The section as markdown. The caller frees it.
oxide_text section_markdown(const section *section, oxide_text heading);

void section_free(section *section);

// The file with the section below its title, or on top if it has none. The caller frees it.
oxide_text section_insert(oxide_text section, oxide_text file);

// A new file with the section. The caller frees it.
oxide_text section_new_file(oxide_text section);

#endif
