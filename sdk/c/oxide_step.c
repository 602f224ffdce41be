// What every plugin has: failures, the log, annotations, the summary.

#include "oxide.h"

bool oxide_fail(oxide_failure *failure, const char *format, ...) {
  va_list values;
  va_start(values, format);
  failure->tag = OXIDE_CI_TYPES_FAILURE_OTHER;
  failure->val.other = oxide_format_list(format, values);
  va_end(values);
  return false;
}

bool oxide_fail_input(oxide_failure *failure, const char *format, ...) {
  va_list values;
  va_start(values, format);
  failure->tag = OXIDE_CI_TYPES_FAILURE_INVALID_INPUT;
  failure->val.invalid_input = oxide_format_list(format, values);
  va_end(values);
  return false;
}

bool oxide_fail_exit_code(oxide_failure *failure, int32_t code) {
  failure->tag = OXIDE_CI_TYPES_FAILURE_EXIT_CODE;
  failure->val.exit_code = code;
  return false;
}

bool oxide_fail_error(oxide_failure *failure, oxide_error *error) {
  // Every case of an error holds one text.
  failure->tag = OXIDE_CI_TYPES_FAILURE_OTHER;
  failure->val.other = error->val.other;
  error->val.other = (oxide_text){NULL, 0};
  return false;
}

void oxide_failure_free(oxide_failure *failure) {
  oxide_ci_types_failure_free(failure);
}

oxide_text oxide_error_text(const oxide_error *error) {
  return error->val.other;
}

void oxide_log(oxide_ci_log_level_t level, oxide_text message) {
  oxide_ci_log_write(level, &message);
}

static void log_list(oxide_ci_log_level_t level, const char *format, va_list values) {
  oxide_text message = oxide_format_list(format, values);
  oxide_log(level, message);
  oxide_text_free(&message);
}

void oxide_debug(const char *format, ...) {
  va_list values;
  va_start(values, format);
  log_list(OXIDE_CI_LOG_LEVEL_DEBUG, format, values);
  va_end(values);
}

void oxide_info(const char *format, ...) {
  va_list values;
  va_start(values, format);
  log_list(OXIDE_CI_LOG_LEVEL_INFO, format, values);
  va_end(values);
}

void oxide_warning(const char *format, ...) {
  va_list values;
  va_start(values, format);
  log_list(OXIDE_CI_LOG_LEVEL_WARNING, format, values);
  va_end(values);
}

void oxide_log_error(const char *format, ...) {
  va_list values;
  va_start(values, format);
  log_list(OXIDE_CI_LOG_LEVEL_ERROR, format, values);
  va_end(values);
}

void oxide_annotate(oxide_ci_output_severity_t severity, oxide_text message) {
  oxide_ci_output_annotation_t annotation = {.severity = severity, .message = message};
  oxide_ci_output_annotate(&annotation);
}

void oxide_annotate_at(oxide_ci_output_severity_t severity, oxide_text file, uint32_t line, oxide_text message) {
  oxide_ci_output_annotation_t annotation = {
      .file = {.is_some = true, .val = file},
      .line = {.is_some = line > 0, .val = line},
      .severity = severity,
      .message = message,
  };
  oxide_ci_output_annotate(&annotation);
}

bool oxide_add_summary(oxide_text markdown, oxide_failure *failure) {
  oxide_error error;
  return oxide_ci_output_add_summary(&markdown, &error) || oxide_fail_error(failure, &error);
}
