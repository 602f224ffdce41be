// Text: views, copies, text that grows, UTF-8.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oxide.h"

// The first memory of a buffer.
#define CAPACITY_MIN 64

// What stands for bytes that are no text: U+FFFD.
#define REPLACEMENT "\xef\xbf\xbd"

// Memory that is there. Without it the step ends here, and the host says which limit was reached.
static uint8_t *allocated(uint8_t *old, size_t size) {
  uint8_t *memory = realloc(old, size);
  if (memory == NULL) abort();
  return memory;
}

oxide_text oxide_text_of(const char *string) {
  return (oxide_text){(uint8_t *)string, strlen(string)};
}

oxide_text oxide_text_part(oxide_text text, size_t start, size_t length) {
  if (start > text.len) start = text.len;
  if (length > text.len - start) length = text.len - start;
  // Nothing may be added to a pointer to nothing.
  return (oxide_text){text.ptr == NULL ? NULL : text.ptr + start, length};
}

oxide_text oxide_text_copy(oxide_text text) {
  if (text.len == 0) return (oxide_text){NULL, 0};
  uint8_t *copy = allocated(NULL, text.len);
  memcpy(copy, text.ptr, text.len);
  return (oxide_text){copy, text.len};
}

char *oxide_text_to_c_string(oxide_text text) {
  if (text.len == SIZE_MAX) abort();
  uint8_t *copy = allocated(NULL, text.len + 1);
  if (text.len > 0) memcpy(copy, text.ptr, text.len);
  copy[text.len] = '\0';
  return (char *)copy;
}

void oxide_text_free(oxide_text *text) {
  plugin_string_free(text);
}

bool oxide_text_equals(oxide_text text, const char *string) {
  size_t length = strlen(string);
  return text.len == length && (length == 0 || memcmp(text.ptr, string, length) == 0);
}

bool oxide_text_starts_with(oxide_text text, const char *string) {
  return oxide_text_equals(oxide_text_part(text, 0, strlen(string)), string);
}

static bool is_space(uint8_t byte) {
  return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\f' || byte == '\r';
}

oxide_text oxide_text_trim(oxide_text text) {
  while (text.len > 0 && is_space(text.ptr[text.len - 1])) text.len--;
  while (text.len > 0 && is_space(text.ptr[0])) text.ptr++, text.len--;
  return text;
}

size_t oxide_text_find(oxide_text text, uint8_t byte, size_t start) {
  if (start >= text.len) return text.len;
  const uint8_t *found = memchr(text.ptr + start, byte, text.len - start);
  return found == NULL ? text.len : (size_t)(found - text.ptr);
}

bool oxide_text_next_line(oxide_text *rest, oxide_text *line) {
  if (rest->len == 0) return false;
  size_t end = oxide_text_find(*rest, '\n', 0);
  *line = oxide_text_part(*rest, 0, end);
  *rest = oxide_text_part(*rest, end < rest->len ? end + 1 : end, SIZE_MAX);
  if (line->len > 0 && line->ptr[line->len - 1] == '\r') line->len--;
  return true;
}

oxide_text oxide_text_or(const plugin_option_string_t *option, const char *otherwise) {
  return option->is_some ? option->val : oxide_text_of(otherwise);
}

// The bytes that the character at the front takes, or 0 if it is none; then `bad` is how many bytes are to be replaced
// together: the longest beginning of a character that might have become one.
static size_t character(const uint8_t *at, size_t left, size_t *bad) {
  uint8_t first = at[0];
  uint8_t low = 0x80, high = 0xbf;
  size_t length;
  *bad = 1;
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) low = 0xa0;   // Longer than needed.
    if (first == 0xed) high = 0x9f;  // Halves of UTF-16 pairs.
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) low = 0x90;   // Longer than needed.
    if (first == 0xf4) high = 0x8f;  // Beyond U+10FFFF.
  } else {
    return 0;
  }
  for (size_t index = 1; index < length; index++, low = 0x80, high = 0xbf) {
    if (index >= left || at[index] < low || at[index] > high) {
      *bad = index;
      return 0;
    }
  }
  return length;
}

// How many bytes from `start` on are UTF-8. Plain ASCII is passed over eight bytes at a time.
static size_t valid_length(oxide_text text, size_t start, size_t *bad) {
  size_t at = start;
  while (at < text.len) {
    uint64_t eight;
    while (text.len - at >= sizeof eight) {
      memcpy(&eight, text.ptr + at, sizeof eight);
      if (eight & UINT64_C(0x8080808080808080)) break;
      at += sizeof eight;
    }
    if (at == text.len) break;
    size_t length = character(text.ptr + at, text.len - at, bad);
    if (length == 0) break;
    at += length;
  }
  return at - start;
}

bool oxide_text_is_utf8(oxide_text text) {
  size_t bad;
  return valid_length(text, 0, &bad) == text.len;
}

// Makes room for so many bytes more.
static void reserve(oxide_buffer *buffer, size_t more) {
  if (more <= buffer->capacity - buffer->len) return;
  if (more > SIZE_MAX - buffer->len) abort();
  size_t needed = buffer->len + more;
  // Half as much again: what is copied stays in proportion, and less lies idle than with twice as much.
  size_t capacity = buffer->capacity / 2 <= SIZE_MAX - buffer->capacity ? buffer->capacity + buffer->capacity / 2 : needed;
  if (capacity < needed) capacity = needed;
  if (capacity < CAPACITY_MIN) capacity = CAPACITY_MIN;
  buffer->ptr = allocated(buffer->ptr, capacity);
  buffer->capacity = capacity;
}

void oxide_buffer_add(oxide_buffer *buffer, oxide_text text) {
  if (text.len == 0) return;
  reserve(buffer, text.len);
  memcpy(buffer->ptr + buffer->len, text.ptr, text.len);
  buffer->len += text.len;
}

void oxide_buffer_add_string(oxide_buffer *buffer, const char *string) {
  oxide_buffer_add(buffer, oxide_text_of(string));
}

void oxide_buffer_add_number(oxide_buffer *buffer, uint64_t number) {
  uint8_t digits[20];
  size_t first = sizeof digits;
  do {
    digits[--first] = (uint8_t)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  oxide_buffer_add(buffer, (oxide_text){digits + first, sizeof digits - first});
}

void oxide_buffer_add_lossy(oxide_buffer *buffer, oxide_text bytes) {
  size_t at = 0;
  while (at < bytes.len) {
    size_t bad = 0;
    size_t length = valid_length(bytes, at, &bad);
    oxide_buffer_add(buffer, oxide_text_part(bytes, at, length));
    at += length;
    if (at < bytes.len) {
      oxide_buffer_add_string(buffer, REPLACEMENT);
      at += bad;
    }
  }
}

oxide_text oxide_buffer_text(const oxide_buffer *buffer) {
  return (oxide_text){buffer->ptr, buffer->len};
}

oxide_text oxide_buffer_take(oxide_buffer *buffer) {
  oxide_text text = oxide_buffer_text(buffer);
  if (text.len == 0) {
    oxide_buffer_free(buffer);
    return (oxide_text){NULL, 0};
  }
  *buffer = (oxide_buffer){0};
  return text;
}

void oxide_buffer_clear(oxide_buffer *buffer) {
  buffer->len = 0;
}

void oxide_buffer_free(oxide_buffer *buffer) {
  free(buffer->ptr);
  *buffer = (oxide_buffer){0};
}

oxide_text oxide_format_list(const char *format, va_list values) {
  va_list again;
  va_copy(again, values);
  int length = vsnprintf(NULL, 0, format, values);
  // A text of 2 GiB, or a format that is none.
  if (length < 0) abort();
  char *text = (char *)allocated(NULL, (size_t)length + 1);
  vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  oxide_text printed = {(uint8_t *)text, (size_t)length};
  if (printed.len == 0) {
    free(text);
    return (oxide_text){NULL, 0};
  }
  if (oxide_text_is_utf8(printed)) return printed;
  // `%.5s` may cut a character in two, and the host takes text only.
  oxide_buffer lossy = {0};
  oxide_buffer_add_lossy(&lossy, printed);
  free(text);
  return oxide_buffer_take(&lossy);
}

oxide_text oxide_format(const char *format, ...) {
  va_list values;
  va_start(values, format);
  oxide_text text = oxide_format_list(format, values);
  va_end(values);
  return text;
}
