#include "commit.h"

#include <string.h>

#define SEPARATOR 0x1f

// Takes the part before the separator, and the separator, from the front of the text.
static bool take_part(oxide_text *text, oxide_text *part) {
  size_t end = oxide_text_find(*text, SEPARATOR, 0);
  if (end == text->len) return false;
  *part = oxide_text_part(*text, 0, end);
  *text = oxide_text_part(*text, end + 1, SIZE_MAX);
  return true;
}

bool commit_parse(oxide_text text, commit *commit) {
  while (text.len > 0 && text.ptr[0] == '\n') text = oxide_text_part(text, 1, SIZE_MAX);
  if (!take_part(&text, &commit->id) || !take_part(&text, &commit->subject)) return false;
  commit->body = text;
  return true;
}

bool commit_is_merge(const commit *commit) {
  return oxide_text_starts_with(commit->subject, "Merge ");
}

bool commit_breaking_change(const commit *commit, oxide_text *text) {
  oxide_text rest = commit->body, line;
  while (oxide_text_next_line(&rest, &line)) {
    if (oxide_text_starts_with(line, "BREAKING CHANGE: ") || oxide_text_starts_with(line, "BREAKING-CHANGE: ")) {
      *text = oxide_text_trim(oxide_text_part(line, strlen("BREAKING CHANGE: "), SIZE_MAX));
      return true;
    }
  }
  return false;
}

static bool is_letter(uint8_t byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool has_at(oxide_text text, size_t at, char byte) {
  return at < text.len && text.ptr[at] == (uint8_t)byte;
}

bool subject_parse(oxide_text text, subject *subject) {
  size_t at = 0;
  while (at < text.len && is_letter(text.ptr[at])) at++;
  subject->kind = oxide_text_part(text, 0, at);
  subject->scope = oxide_text_part(text, at, 0);
  if (has_at(text, at, '(')) {
    size_t end = oxide_text_find(text, ')', at);
    if (end == text.len || end == at + 1) return false;
    subject->scope = oxide_text_part(text, at + 1, end - at - 1);
    at = end + 1;
  }
  subject->is_breaking = has_at(text, at, '!');
  if (subject->is_breaking) at++;
  if (!has_at(text, at, ':') || !has_at(text, at + 1, ' ')) return false;
  subject->description = oxide_text_trim(oxide_text_part(text, at + 2, SIZE_MAX));
  return subject->kind.len > 0 && subject->description.len > 0;
}
