/* Counts words: a hash table from words to numbers, and where words begin and end in UTF-8. */
#ifndef TALLY_H
#define TALLY_H

#include <stddef.h>

struct entry {
    char *word;
    size_t length;
    unsigned long count;
};

struct tally {
    struct entry *entries;
    size_t used;
    size_t capacity; /* a power of two, or 0 */
};

/* Counts one more of this word. 0 if there is no memory left. */
int tally_add(struct tally *tally, const char *word, size_t length);

/* How often the word was counted. */
unsigned long tally_of(const struct tally *tally, const char *word, size_t length);

/* Sorts the words, the most frequent first, those of the same count by their bytes. Nothing can be added afterwards. */
void tally_sort(struct tally *tally);

void tally_free(struct tally *tally);

/* The length of the character at `text` in bytes; 1 for a byte that begins none. */
size_t utf8_length(const char *text, size_t left);

/* Finds the next word of `text` from `*at` on: its begin is the result, `*at` is behind it. A word is made of letters, digits and
 * everything beyond ASCII. NULL at the end. */
const char *utf8_next_word(const char *text, size_t length, size_t *at, size_t *word_length);

#endif
