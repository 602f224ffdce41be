#include "section.h"

static const char *const HEADINGS[GROUPS] = {"Breaking changes", "Features", "Fixes", "Performance"};

void section_add(section *section, const commit *commit, const subject *subject) {
  oxide_text text = subject->description;
  enum group group;
  if (commit_breaking_change(commit, &text) || subject->is_breaking) {
    group = GROUP_BREAKING;
  } else if (oxide_text_equals(subject->kind, "feat")) {
    group = GROUP_FEATURES;
  } else if (oxide_text_equals(subject->kind, "fix")) {
    group = GROUP_FIXES;
  } else if (oxide_text_equals(subject->kind, "perf")) {
    group = GROUP_PERFORMANCE;
  } else {
    return;
  }
  oxide_buffer *lines = &section->lines[group];
  oxide_buffer_add_string(lines, "- ");
  if (subject->scope.len > 0) {
    oxide_buffer_add_string(lines, "**");
    oxide_buffer_add(lines, subject->scope);
    oxide_buffer_add_string(lines, ":** ");
  }
  oxide_buffer_add(lines, text);
  oxide_buffer_add_string(lines, " (");
  oxide_buffer_add(lines, commit->id);
  oxide_buffer_add_string(lines, ")\n");
}

plugin_bump_t section_bump(const section *section) {
  const oxide_buffer *lines = section->lines;
  if (lines[GROUP_BREAKING].len > 0) return PLUGIN_BUMP_MAJOR;
  if (lines[GROUP_FEATURES].len > 0) return PLUGIN_BUMP_MINOR;
  if (lines[GROUP_FIXES].len > 0 || lines[GROUP_PERFORMANCE].len > 0) return PLUGIN_BUMP_PATCH;
  return PLUGIN_BUMP_NONE;
}

oxide_text section_markdown(const section *section, oxide_text heading) {
  oxide_buffer text = {0};
  oxide_buffer_add_string(&text, "## ");
  oxide_buffer_add(&text, heading);
  oxide_buffer_add_string(&text, "\n");
  for (size_t group = 0; group < GROUPS; group++) {
    if (section->lines[group].len == 0) continue;
    oxide_buffer_add_string(&text, "\n### ");
    oxide_buffer_add_string(&text, HEADINGS[group]);
    oxide_buffer_add_string(&text, "\n\n");
    oxide_buffer_add(&text, oxide_buffer_text(&section->lines[group]));
  }
  if (section_bump(section) == PLUGIN_BUMP_NONE) {
    oxide_buffer_add_string(&text, "\nNo changes that users notice.\n");
  }
  return oxide_buffer_take(&text);
}

void section_free(section *section) {
  for (size_t group = 0; group < GROUPS; group++) oxide_buffer_free(&section->lines[group]);
}

// Behind the first line that begins with `# ` and the blank lines that follow it; 0 without such a line.
static size_t place(oxide_text file) {
  bool title_seen = false;
  size_t end = 0;
  oxide_text rest = file, line;
  while (oxide_text_next_line(&rest, &line)) {
    if (title_seen && oxide_text_trim(line).len > 0) return end;
    title_seen = title_seen || oxide_text_starts_with(line, "# ");
    end = file.len - rest.len;
  }
  return title_seen ? end : 0;
}

oxide_text section_insert(oxide_text section, oxide_text file) {
  size_t at = place(file);
  oxide_buffer text = {0};
  oxide_buffer_add(&text, oxide_text_part(file, 0, at));
  // A title at the end of the file, without a line break.
  if (at > 0 && file.ptr[at - 1] != '\n') oxide_buffer_add_string(&text, "\n\n");
  oxide_buffer_add(&text, section);
  oxide_buffer_add_string(&text, "\n");
  oxide_buffer_add(&text, oxide_text_part(file, at, SIZE_MAX));
  return oxide_buffer_take(&text);
}

oxide_text section_new_file(oxide_text section) {
  oxide_buffer text = {0};
  oxide_buffer_add_string(&text, "# Changelog\n\n");
  oxide_buffer_add(&text, section);
  return oxide_buffer_take(&text);
}
