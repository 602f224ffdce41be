// Plugins for Oxide CI in C: helpers over the bindings that are generated from the plugin's world.
//
// `plugin.h` holds the bindings: the types of the world (`plugin_inputs_t`, …), the functions of the host (`oxide_ci_…`), and
// the function that a plugin defines:
//
//     bool exports_plugin_run(plugin_inputs_t *inputs, plugin_outputs_t *outputs, oxide_failure *failure);
//
// It answers with true and fills `outputs`, or with false and fills `failure`. What is below takes the boilerplate away:
//
// - Every function that can fail ends with `oxide_failure *failure` and answers with false if it did, so that errors are
//   passed on with `if (!oxide_file_read(path, &text, failure)) return false;`.
// - Text has a length and no end mark: `oxide_text`. Text that a function gives out belongs to the caller, who frees it with
//   `oxide_text_free`; text that is handed in is only looked at, unless it says otherwise.
// - Text in `outputs` is freed behind the plugin's back: give it text of its own, made by `oxide_text_copy`,
//   `oxide_format` or `oxide_buffer_take`.
// - Nobody needs to look for an end of the memory: what cannot be allocated ends the step, whose limit is then named.
//
// A function that is not used is not in the component, and what it asks of the host is not asked for.

#ifndef OXIDE_H
#define OXIDE_H

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------------------------------------------------------- text

// Bytes with a length. All text that the host is given must be UTF-8; `oxide_buffer_add_lossy` makes it so.
typedef plugin_string_t oxide_text;

// For `%.*s`: `oxide_format("%.*s", OXIDE_ARGS(text))`.
#define OXIDE_ARGS(text) (int)((text).len < INT_MAX ? (text).len : INT_MAX), (const char *)(text).ptr

// Looks at a C string, which must live as long as the text is used.
oxide_text oxide_text_of(const char *string);

// Looks at the part of a text from `start` on, of at most `length` bytes.
oxide_text oxide_text_part(oxide_text text, size_t start, size_t length);

// A copy that belongs to the caller.
oxide_text oxide_text_copy(oxide_text text);

// A copy as C string, which the caller frees with `free`. It ends at a NUL in the text, if there is one.
char *oxide_text_to_c_string(oxide_text text);

// Frees text that belongs to the caller, and makes it empty.
void oxide_text_free(oxide_text *text);

bool oxide_text_equals(oxide_text text, const char *string);
bool oxide_text_starts_with(oxide_text text, const char *string);

// Looks at the text without ASCII white space at its ends.
oxide_text oxide_text_trim(oxide_text text);

// Where the byte is, from `start` on; the length of the text if it is not there.
size_t oxide_text_find(oxide_text text, uint8_t byte, size_t start);

// Looks at the next line and takes it, with its line break, from the front of `rest`. False if nothing is left. The line is
// without its line break, be it LF or CR LF.
bool oxide_text_next_line(oxide_text *rest, oxide_text *line);

// Is it UTF-8?
bool oxide_text_is_utf8(oxide_text text);

// The text of an option of the inputs, or this C string where there is none.
oxide_text oxide_text_or(const plugin_option_string_t *option, const char *otherwise);

// What `printf` would print. The caller frees it.
oxide_text oxide_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
oxide_text oxide_format_list(const char *format, va_list values) __attribute__((format(printf, 1, 0)));

// Text that grows. Begin with `oxide_buffer buffer = {0};`.
typedef struct oxide_buffer {
  uint8_t *ptr;
  size_t len;
  size_t capacity;
} oxide_buffer;

void oxide_buffer_add(oxide_buffer *buffer, oxide_text text);
void oxide_buffer_add_string(oxide_buffer *buffer, const char *string);
void oxide_buffer_add_number(oxide_buffer *buffer, uint64_t number);

// Adds bytes as text: what is not UTF-8 becomes U+FFFD.
void oxide_buffer_add_lossy(oxide_buffer *buffer, oxide_text bytes);

// Looks at what is in it, until it changes.
oxide_text oxide_buffer_text(const oxide_buffer *buffer);

// Takes out what is in it. The caller frees it; the buffer is empty.
oxide_text oxide_buffer_take(oxide_buffer *buffer);

// Empties it and keeps its memory.
void oxide_buffer_clear(oxide_buffer *buffer);

void oxide_buffer_free(oxide_buffer *buffer);

// ------------------------------------------------------------------------------------------------------------ failures

// Why the step fails.
typedef oxide_ci_types_failure_t oxide_failure;
// What a function of the bindings says when it does not succeed.
typedef oxide_ci_types_error_t oxide_error;

// Each of these fills in `failure` and answers with false, so that `return oxide_fail(failure, "no title");` ends `run`.

// Any reason, as a sentence for the person who reads the log.
bool oxide_fail(oxide_failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));

// An input is unusable: say which one, why, and what to write instead.
bool oxide_fail_input(oxide_failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));

// A command ended with this exit code, which is the reason.
bool oxide_fail_exit_code(oxide_failure *failure, int32_t code);

// What the host said. `error` is used up.
bool oxide_fail_error(oxide_failure *failure, oxide_error *error);

// Frees a failure that is not returned after all.
void oxide_failure_free(oxide_failure *failure);

// Looks at what the host said.
oxide_text oxide_error_text(const oxide_error *error);

// ------------------------------------------------------------------------------------------- log, annotations, summary

// Lines in the log of the step, as `printf` would print them.
void oxide_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void oxide_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void oxide_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void oxide_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

// A line at a level: `OXIDE_CI_LOG_LEVEL_INFO`, …
void oxide_log(oxide_ci_log_level_t level, oxide_text message);

// A remark for people: `OXIDE_CI_OUTPUT_SEVERITY_NOTICE`, `…_WARNING`, `…_ERROR`. A step may record 1,000.
void oxide_annotate(oxide_ci_output_severity_t severity, oxide_text message);

// A remark on a file, relative to the workspace, and a line of it, counted from 1; 0 is the whole file.
void oxide_annotate_at(oxide_ci_output_severity_t severity, oxide_text file, uint32_t line, oxide_text message);

// Appends markdown to the summary of the step, which holds 1 MiB.
bool oxide_add_summary(oxide_text markdown, oxide_failure *failure);

// --------------------------------------------------------------------------------------------------------------- files
// For worlds with `import oxide:ci/workspace@0.1.0;`. Paths are relative to the workspace.

#ifdef OXIDE_CI_WORKSPACE_ENTRY_KIND_FILE

// Reads a whole file of any size.
bool oxide_file_read(oxide_text path, oxide_text *contents, oxide_failure *failure);

// Reads a whole file if it exists, and says so; else `contents` is empty.
bool oxide_file_read_if_exists(oxide_text path, oxide_text *contents, bool *exists, oxide_failure *failure);

// Writes a whole file of any size, in the place of what was there, and makes the directories above it.
bool oxide_file_write(oxide_text path, oxide_text contents, oxide_failure *failure);

// Appends to a file, which is made if it is not there.
bool oxide_file_append(oxide_text path, oxide_text contents, oxide_failure *failure);

// Does the path lead to anything?
bool oxide_file_exists(oxide_text path, bool *exists, oxide_failure *failure);

// Finds the files that match a glob, sorted by path. The caller frees them with `oxide_ci_workspace_list_entry_free`.
bool oxide_files(oxide_text glob, oxide_ci_workspace_list_entry_t *files, oxide_failure *failure);

// Removes a file, a link, or a directory with everything below it.
bool oxide_file_remove(oxide_text path, oxide_failure *failure);

#endif

// ------------------------------------------------------------------------------------------------------------ commands
// For worlds with `import oxide:ci/environment@0.1.0;`.

#ifdef OXIDE_CI_ENVIRONMENT_KIND_HOST

// Runs a command to its end; what it prints goes to the log. Fails with its exit code unless that is 0. `argv` ends with
// NULL: `oxide_run((const char *[]){"make", "all", NULL}, failure)`.
bool oxide_run(const char *const argv[], oxide_failure *failure);

// As `oxide_run`, and gives what it printed to its standard output as text. The caller frees it.
bool oxide_run_text(const char *const argv[], oxide_text *output, oxide_failure *failure);

// A command that is being built, for what `oxide_run` cannot do. Fill in what is needed, begin with {0}:
//
//     oxide_command command = {.program = oxide_text_of("git")};
//     oxide_command_arg(&command, oxide_text_of("status"));
//     oxide_process process;
//     if (!oxide_command_start(&command, &process, failure)) return false;
//
// `oxide_command_start` frees it, whether it succeeds or not.
typedef struct oxide_command {
  // A name on the search path, or an absolute path. This and the next two are looked at when the command is started.
  oxide_text program;
  // Where to run it, relative to the workspace; empty is its top.
  oxide_text directory;
  // Its standard input.
  oxide_text stdin_contents;
  // Where its output goes: `OXIDE_CI_ENVIRONMENT_OUTPUT_TO_LOG` (the default), `…_PIPED`, `…_DISCARDED`. A process that
  // fills one pipe while the other one is read waits for ever: pipe one of the two.
  oxide_ci_environment_output_to_t stdout_to;
  oxide_ci_environment_output_to_t stderr_to;
  // Filled by the functions below, which copy what they are given.
  oxide_text *args;
  size_t args_len, args_capacity;
  oxide_text *env;
  size_t env_len, env_capacity;
} oxide_command;

// Adds an argument. No shell is involved. Placeholders of secrets are refused here.
void oxide_command_arg(oxide_command *command, oxide_text value);

// Sets an environment variable. Placeholders of secrets become the values.
void oxide_command_env(oxide_command *command, oxide_text name, oxide_text value);

// Frees a command that is not started after all.
void oxide_command_free(oxide_command *command);

// A process that runs, or has ended.
typedef struct oxide_process {
  oxide_ci_environment_own_process_t handle;
  // Of a piped standard output: what was read and is not used yet.
  oxide_buffer pending;
  size_t pending_start;
  bool at_end;
} oxide_process;

// Starts it.
bool oxide_command_start(oxide_command *command, oxide_process *process, oxide_failure *failure);

// Waits for the next bytes of the piped standard output: all that is there, up to 64 KiB. None at its end. The caller frees
// them.
bool oxide_process_read(oxide_process *process, oxide_text *bytes, oxide_failure *failure);

// Waits for the next record of the piped standard output: the bytes before the next `end`, or before the end of the output.
// `found` is false if there is none left. The record is looked at until the next call. After a failure, here or in
// `oxide_process_read`, let the process go with `oxide_process_kill`.
bool oxide_process_next(oxide_process *process, uint8_t end, oxide_text *record, bool *found, oxide_failure *failure);

// Waits until it has ended, tells how, and lets it go.
bool oxide_process_wait(oxide_process *process, oxide_ci_environment_exit_t *exit, oxide_failure *failure);

// Ends it at once, if it still runs, and lets it go.
void oxide_process_kill(oxide_process *process);

// As `oxide_process_wait`; fails unless it ended with exit code 0. `program` is for the sentence.
bool oxide_process_succeeds(oxide_process *process, const char *program, oxide_failure *failure);

#endif

#ifdef __cplusplus
}
#endif

#endif
