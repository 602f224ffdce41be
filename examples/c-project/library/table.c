#include "tally.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static unsigned long hash(const char *word, size_t length)
{
    unsigned long value = 14695981039346656037UL;
    for (size_t i = 0; i < length; i++)
        value = (value ^ (unsigned char)word[i]) * 1099511628211UL;
    return value;
}

/* The place of a word, or the empty one where it would be. */
static struct entry *place(struct entry *entries, size_t capacity, const char *word, size_t length)
{
    size_t at = hash(word, length) & (capacity - 1);
    while (entries[at].word && (entries[at].length != length || memcmp(entries[at].word, word, length) != 0))
        at = (at + 1) & (capacity - 1);
    return &entries[at];
}

static int grow(struct tally *tally)
{
    size_t capacity = tally->capacity ? tally->capacity * 2 : 64;
    struct entry *entries = calloc(capacity, sizeof *entries);
    if (!entries)
        return 0;
    for (size_t i = 0; i < tally->capacity; i++) {
        struct entry *old = &tally->entries[i];
        if (old->word)
            *place(entries, capacity, old->word, old->length) = *old;
    }
    free(tally->entries);
    tally->entries = entries;
    tally->capacity = capacity;
    return 1;
}

int tally_add(struct tally *tally, const char *word, size_t length)
{
    if (tally->used * 4 >= tally->capacity * 3 && !grow(tally))
        return 0;
    struct entry *entry = place(tally->entries, tally->capacity, word, length);
    if (!entry->word) {
        entry->word = malloc(length + 1);
        if (!entry->word)
            return 0;
        memcpy(entry->word, word, length);
        entry->word[length] = '\0';
        entry->length = length;
        tally->used++;
    }
    entry->count++;
    return 1;
}

unsigned long tally_of(const struct tally *tally, const char *word, size_t length)
{
    return tally->capacity ? place(tally->entries, tally->capacity, word, length)->count : 0;
}

static int by_count(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    if (!a->word || !b->word)
        return 0;
    return strcmp(a->word, b->word);
}

void tally_sort(struct tally *tally)
{
    qsort(tally->entries, tally->capacity, sizeof *tally->entries, by_count);
}

void tally_free(struct tally *tally)
{
    for (size_t i = 0; i < tally->capacity; i++)
        free(tally->entries[i].word);
    free(tally->entries);
    *tally = (struct tally){0};
}
