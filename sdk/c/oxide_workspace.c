// Files of the workspace, of any size.

#include "oxide.h"

#ifdef OXIDE_CI_WORKSPACE_ENTRY_KIND_FILE

// So many bytes are carried at once: one call of the host carries 16 MiB.
#define PART_BYTES (8u << 20)

typedef oxide_ci_workspace_own_directory_t directory;

static bool open_root(directory *root, oxide_failure *failure) {
  oxide_error error;
  return oxide_ci_workspace_root(root, &error) || oxide_fail_error(failure, &error);
}

static void close_root(directory root) {
  oxide_ci_workspace_directory_drop_own(root);
}

// Reads a file part by part; a part that is not full is the last one.
static bool read_parts(directory root, oxide_text path, oxide_text *contents, oxide_error *error) {
  oxide_buffer whole = {0};
  for (;;) {
    plugin_list_u8_t part;
    oxide_ci_workspace_borrow_directory_t borrowed = oxide_ci_workspace_borrow_directory(root);
    if (!oxide_ci_workspace_method_directory_read_range(borrowed, &path, whole.len, PART_BYTES, &part, error)) {
      oxide_buffer_free(&whole);
      return false;
    }
    bool is_last = part.len < PART_BYTES;
    oxide_buffer_add(&whole, (oxide_text){part.ptr, part.len});
    plugin_list_u8_free(&part);
    if (is_last) break;
  }
  *contents = oxide_buffer_take(&whole);
  return true;
}

static bool read_file(oxide_text path, oxide_text *contents, oxide_error *error) {
  directory root;
  if (!oxide_ci_workspace_root(&root, error)) return false;
  plugin_list_u8_t whole;
  bool is_read = oxide_ci_workspace_method_directory_read(oxide_ci_workspace_borrow_directory(root), &path, &whole, error);
  if (is_read) {
    *contents = (oxide_text){whole.ptr, whole.len};
  } else if (error->tag == OXIDE_CI_TYPES_ERROR_LIMIT) {
    oxide_ci_types_error_free(error);
    is_read = read_parts(root, path, contents, error);
  }
  close_root(root);
  return is_read;
}

bool oxide_file_read(oxide_text path, oxide_text *contents, oxide_failure *failure) {
  oxide_error error;
  return read_file(path, contents, &error) || oxide_fail_error(failure, &error);
}

bool oxide_file_read_if_exists(oxide_text path, oxide_text *contents, bool *exists, oxide_failure *failure) {
  oxide_error error;
  *exists = read_file(path, contents, &error);
  if (*exists) return true;
  *contents = (oxide_text){NULL, 0};
  if (error.tag != OXIDE_CI_TYPES_ERROR_NOT_FOUND) return oxide_fail_error(failure, &error);
  oxide_ci_types_error_free(&error);
  return true;
}

static bool append_parts(directory root, oxide_text path, oxide_text contents, size_t start, oxide_error *error) {
  for (size_t at = start; at < contents.len; at += PART_BYTES) {
    oxide_text part = oxide_text_part(contents, at, PART_BYTES);
    plugin_list_u8_t bytes = {part.ptr, part.len};
    oxide_ci_workspace_borrow_directory_t borrowed = oxide_ci_workspace_borrow_directory(root);
    if (!oxide_ci_workspace_method_directory_append(borrowed, &path, &bytes, error)) return false;
  }
  return true;
}

bool oxide_file_write(oxide_text path, oxide_text contents, oxide_failure *failure) {
  directory root;
  if (!open_root(&root, failure)) return false;
  oxide_text part = oxide_text_part(contents, 0, PART_BYTES);
  plugin_list_u8_t first = {part.ptr, part.len};
  oxide_ci_workspace_borrow_directory_t borrowed = oxide_ci_workspace_borrow_directory(root);
  oxide_error error;
  bool is_written = oxide_ci_workspace_method_directory_write(borrowed, &path, &first, &error) &&
                    append_parts(root, path, contents, part.len, &error);
  close_root(root);
  return is_written || oxide_fail_error(failure, &error);
}

bool oxide_file_append(oxide_text path, oxide_text contents, oxide_failure *failure) {
  directory root;
  if (!open_root(&root, failure)) return false;
  oxide_error error;
  bool is_written = append_parts(root, path, contents, 0, &error);
  close_root(root);
  return is_written || oxide_fail_error(failure, &error);
}

bool oxide_file_exists(oxide_text path, bool *exists, oxide_failure *failure) {
  directory root;
  if (!open_root(&root, failure)) return false;
  oxide_ci_workspace_entry_t entry;
  oxide_error error;
  *exists = oxide_ci_workspace_method_directory_stat(oxide_ci_workspace_borrow_directory(root), &path, &entry, &error);
  close_root(root);
  if (*exists) {
    oxide_ci_workspace_entry_free(&entry);
    return true;
  }
  if (error.tag != OXIDE_CI_TYPES_ERROR_NOT_FOUND) return oxide_fail_error(failure, &error);
  oxide_ci_types_error_free(&error);
  return true;
}

bool oxide_files(oxide_text glob, oxide_ci_workspace_list_entry_t *files, oxide_failure *failure) {
  directory root;
  if (!open_root(&root, failure)) return false;
  oxide_error error;
  bool is_found =
      oxide_ci_workspace_method_directory_glob(oxide_ci_workspace_borrow_directory(root), &glob, files, &error);
  close_root(root);
  return is_found || oxide_fail_error(failure, &error);
}

bool oxide_file_remove(oxide_text path, oxide_failure *failure) {
  directory root;
  if (!open_root(&root, failure)) return false;
  oxide_error error;
  bool is_removed =
      oxide_ci_workspace_method_directory_remove(oxide_ci_workspace_borrow_directory(root), &path, &error);
  close_root(root);
  return is_removed || oxide_fail_error(failure, &error);
}

#endif
