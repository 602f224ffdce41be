// Commands that run where the job runs them.

#include <stdlib.h>
#include <string.h>

#include "oxide.h"

#ifdef OXIDE_CI_ENVIRONMENT_KIND_HOST

// At most so many bytes are asked for at once.
#define READ_BYTES (64u << 10)

typedef oxide_ci_environment_borrow_command_t borrowed_command;

static void add_text(oxide_text **list, size_t *len, size_t *capacity, oxide_text text) {
  if (*len == *capacity) {
    size_t more = *capacity == 0 ? 8 : *capacity * 2;
    if (more > SIZE_MAX / sizeof **list) abort();
    *list = realloc(*list, more * sizeof **list);
    if (*list == NULL) abort();
    *capacity = more;
  }
  (*list)[(*len)++] = oxide_text_copy(text);
}

static void free_texts(oxide_text *list, size_t len) {
  for (size_t index = 0; index < len; index++) oxide_text_free(&list[index]);
  free(list);
}

void oxide_command_arg(oxide_command *command, oxide_text value) {
  add_text(&command->args, &command->args_len, &command->args_capacity, value);
}

void oxide_command_env(oxide_command *command, oxide_text name, oxide_text value) {
  add_text(&command->env, &command->env_len, &command->env_capacity, name);
  add_text(&command->env, &command->env_len, &command->env_capacity, value);
}

void oxide_command_free(oxide_command *command) {
  free_texts(command->args, command->args_len);
  free_texts(command->env, command->env_len);
  *command = (oxide_command){0};
}

// Hands over to the host what was collected.
static bool prepare(const oxide_command *command, borrowed_command to, oxide_error *error) {
  for (size_t index = 0; index < command->args_len; index++) {
    oxide_ci_environment_method_command_arg(to, &command->args[index]);
  }
  for (size_t index = 0; index + 1 < command->env_len; index += 2) {
    if (!oxide_ci_environment_method_command_env(to, &command->env[index], &command->env[index + 1], error)) return false;
  }
  if (command->directory.len > 0) {
    oxide_text directory = command->directory;
    if (!oxide_ci_environment_method_command_working_directory(to, &directory, error)) return false;
  }
  if (command->stdin_contents.len > 0) {
    plugin_list_u8_t contents = {command->stdin_contents.ptr, command->stdin_contents.len};
    oxide_ci_environment_method_command_stdin(to, &contents);
  }
  oxide_ci_environment_method_command_stdout(to, command->stdout_to);
  oxide_ci_environment_method_command_stderr(to, command->stderr_to);
  return true;
}

static bool start(const oxide_command *command, oxide_process *process, oxide_error *error) {
  oxide_ci_environment_own_environment_t environment;
  if (!oxide_ci_environment_current(&environment, error)) return false;
  oxide_text program = command->program;
  oxide_ci_environment_own_command_t built = oxide_ci_environment_method_environment_command(
      oxide_ci_environment_borrow_environment(environment), &program);
  borrowed_command borrowed = oxide_ci_environment_borrow_command(built);
  *process = (oxide_process){0};
  bool is_started = prepare(command, borrowed, error) &&
                    oxide_ci_environment_method_command_spawn(borrowed, &process->handle, error);
  oxide_ci_environment_command_drop_own(built);
  oxide_ci_environment_environment_drop_own(environment);
  return is_started;
}

bool oxide_command_start(oxide_command *command, oxide_process *process, oxide_failure *failure) {
  oxide_error error;
  bool is_started = start(command, process, &error);
  oxide_command_free(command);
  return is_started || oxide_fail_error(failure, &error);
}

bool oxide_process_read(oxide_process *process, oxide_text *bytes, oxide_failure *failure) {
  oxide_error error;
  plugin_list_u8_t read;
  oxide_ci_environment_borrow_process_t borrowed = oxide_ci_environment_borrow_process(process->handle);
  if (!oxide_ci_environment_method_process_read_stdout(borrowed, READ_BYTES, &read, &error)) {
    return oxide_fail_error(failure, &error);
  }
  *bytes = (oxide_text){read.ptr, read.len};
  return true;
}

bool oxide_process_next(oxide_process *process, uint8_t end, oxide_text *record, bool *found, oxide_failure *failure) {
  oxide_buffer *pending = &process->pending;
  // What was looked through already holds no `end`.
  size_t seen = process->pending_start;
  for (;;) {
    size_t at = oxide_text_find(oxide_buffer_text(pending), end, seen);
    if (at < pending->len || process->at_end) {
      *found = at < pending->len || process->pending_start < pending->len;
      *record = oxide_text_part(oxide_buffer_text(pending), process->pending_start, at - process->pending_start);
      process->pending_start = at < pending->len ? at + 1 : at;
      return true;
    }
    // What was used makes room for what comes.
    if (process->pending_start > 0) {
      pending->len -= process->pending_start;
      if (pending->len > 0) memmove(pending->ptr, pending->ptr + process->pending_start, pending->len);
      process->pending_start = 0;
    }
    seen = pending->len;
    oxide_text bytes;
    if (!oxide_process_read(process, &bytes, failure)) return false;
    process->at_end = bytes.len == 0;
    oxide_buffer_add(pending, bytes);
    oxide_text_free(&bytes);
  }
}

static void let_go(oxide_process *process) {
  oxide_ci_environment_process_drop_own(process->handle);
  oxide_buffer_free(&process->pending);
}

bool oxide_process_wait(oxide_process *process, oxide_ci_environment_exit_t *exit, oxide_failure *failure) {
  oxide_error error;
  oxide_ci_environment_borrow_process_t borrowed = oxide_ci_environment_borrow_process(process->handle);
  bool has_ended = oxide_ci_environment_method_process_wait(borrowed, exit, &error);
  let_go(process);
  return has_ended || oxide_fail_error(failure, &error);
}

void oxide_process_kill(oxide_process *process) {
  // A process ends with its handle.
  let_go(process);
}

bool oxide_process_succeeds(oxide_process *process, const char *program, oxide_failure *failure) {
  oxide_ci_environment_exit_t exit;
  if (!oxide_process_wait(process, &exit, failure)) return false;
  if (exit.tag == OXIDE_CI_ENVIRONMENT_EXIT_SIGNALLED) {
    return oxide_fail(failure, "`%s` was killed by signal %ld", program, (long)exit.val.signalled);
  }
  return exit.val.code == 0 || oxide_fail_exit_code(failure, exit.val.code);
}

static oxide_command command_of(const char *const argv[]) {
  oxide_command command = {.program = oxide_text_of(argv[0] == NULL ? "" : argv[0])};
  for (size_t index = 1; argv[0] != NULL && argv[index] != NULL; index++) {
    oxide_command_arg(&command, oxide_text_of(argv[index]));
  }
  return command;
}

bool oxide_run(const char *const argv[], oxide_failure *failure) {
  oxide_command command = command_of(argv);
  oxide_process process;
  return oxide_command_start(&command, &process, failure) && oxide_process_succeeds(&process, argv[0], failure);
}

bool oxide_run_text(const char *const argv[], oxide_text *output, oxide_failure *failure) {
  oxide_command command = command_of(argv);
  command.stdout_to = OXIDE_CI_ENVIRONMENT_OUTPUT_TO_PIPED;
  oxide_process process;
  if (!oxide_command_start(&command, &process, failure)) return false;
  oxide_buffer bytes = {0};
  for (bool at_end = false; !at_end;) {
    oxide_text piece;
    if (!oxide_process_read(&process, &piece, failure)) {
      oxide_process_kill(&process);
      oxide_buffer_free(&bytes);
      return false;
    }
    at_end = piece.len == 0;
    oxide_buffer_add(&bytes, piece);
    oxide_text_free(&piece);
  }
  if (!oxide_process_succeeds(&process, argv[0], failure)) {
    oxide_buffer_free(&bytes);
    return false;
  }
  if (oxide_text_is_utf8(oxide_buffer_text(&bytes))) {
    *output = oxide_buffer_take(&bytes);
    return true;
  }
  oxide_buffer lossy = {0};
  oxide_buffer_add_lossy(&lossy, oxide_buffer_text(&bytes));
  oxide_buffer_free(&bytes);
  *output = oxide_buffer_take(&lossy);
  return true;
}

#endif
