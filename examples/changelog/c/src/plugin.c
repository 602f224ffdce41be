// Writes the next section of a changelog from conventional commits.
//
// `commit` reads what git prints, `section` words it; here they meet the host.

#include "section.h"

static const char *const BUMPS[] = {"none", "patch", "minor", "major"};

static bool start_git(const plugin_option_string_t *since, oxide_process *git, oxide_failure *failure) {
  oxide_command command = {
      .program = oxide_text_of("git"),
      .stdout_to = OXIDE_CI_ENVIRONMENT_OUTPUT_TO_PIPED,
  };
  oxide_command_arg(&command, oxide_text_of("log"));
  oxide_command_arg(&command, oxide_text_of(COMMIT_FORMAT));
  if (since->is_some) {
    oxide_buffer range = {0};
    oxide_buffer_add(&range, since->val);
    oxide_buffer_add_string(&range, "..HEAD");
    oxide_command_arg(&command, oxide_buffer_text(&range));
    oxide_buffer_free(&range);
  }
  return oxide_command_start(&command, git, failure);
}

static void take_commit(oxide_text record, section *section, uint32_t *commits) {
  commit commit;
  if (!commit_parse(record, &commit)) return;
  *commits += 1;
  subject subject;
  if (subject_parse(commit.subject, &subject)) {
    section_add(section, &commit, &subject);
  } else if (!commit_is_merge(&commit)) {
    oxide_buffer message = {0};
    oxide_buffer_add(&message, commit.id);
    oxide_buffer_add_string(&message, " is not a conventional commit: ");
    oxide_buffer_add(&message, commit.subject);
    oxide_annotate(OXIDE_CI_OUTPUT_SEVERITY_WARNING, oxide_buffer_text(&message));
    oxide_buffer_free(&message);
  }
}

// Reads one commit after the other, so that a long history needs no memory.
static bool read_commits(oxide_process *git, section *section, uint32_t *commits, oxide_failure *failure) {
  oxide_buffer lossy = {0};
  bool found;
  oxide_text record;
  bool is_read;
  while ((is_read = oxide_process_next(git, COMMIT_END, &record, &found, failure)) && found) {
    if (!oxide_text_is_utf8(record)) {
      oxide_buffer_clear(&lossy);
      oxide_buffer_add_lossy(&lossy, record);
      record = oxide_buffer_text(&lossy);
    }
    take_commit(record, section, commits);
  }
  oxide_buffer_free(&lossy);
  if (!is_read) {
    oxide_process_kill(git);
    return false;
  }
  return oxide_process_succeeds(git, "git", failure);
}

static bool write_file(oxide_text path, oxide_text section, oxide_failure *failure) {
  oxide_text old;
  bool exists;
  if (!oxide_file_read_if_exists(path, &old, &exists, failure)) return false;
  oxide_text text = exists ? section_insert(section, old) : section_new_file(section);
  oxide_text_free(&old);
  bool is_written = oxide_file_write(path, text, failure);
  oxide_text_free(&text);
  return is_written;
}

bool exports_plugin_run(plugin_inputs_t *inputs, plugin_outputs_t *outputs, oxide_failure *failure) {
  if (inputs->since.is_some && (inputs->since.val.len == 0 || inputs->since.val.ptr[0] == '-')) {
    return oxide_fail_input(failure, "`since` is `%.*s`: write a tag or a commit", OXIDE_ARGS(inputs->since.val));
  }
  oxide_process git;
  if (!start_git(&inputs->since, &git, failure)) return false;
  section section = {0};
  uint32_t commits = 0;
  if (!read_commits(&git, &section, &commits, failure)) return false;

  plugin_bump_t bump = section_bump(&section);
  oxide_text text = section_markdown(&section, oxide_text_or(&inputs->version, "Unreleased"));
  section_free(&section);
  if (!write_file(oxide_text_or(&inputs->file, "CHANGELOG.md"), text, failure) || !oxide_add_summary(text, failure)) {
    oxide_text_free(&text);
    return false;
  }
  oxide_info("%lu commits, bump: %s", (unsigned long)commits, BUMPS[bump]);
  *outputs = (plugin_outputs_t){.bump = bump, .section = text, .commits = commits};
  return true;
}
