/* Reads text from standard input and prints its ten most frequent words. */
#include "tally.h"

#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *text = NULL;
    size_t length = 0, capacity = 0, got;
    do {
        if (length == capacity) {
            capacity = capacity ? capacity * 2 : 4096;
            char *larger = realloc(text, capacity);
            if (!larger)
                return 1;
            text = larger;
        }
        got = fread(text + length, 1, capacity - length, stdin);
        length += got;
    } while (got > 0);

    struct tally tally = {0};
    const char *word;
    for (size_t at = 0, size; (word = utf8_next_word(text, length, &at, &size));)
        if (!tally_add(&tally, word, size))
            return 1;
    tally_sort(&tally);
    for (size_t i = 0; i < tally.used && i < 10; i++)
        printf("%6lu %s\n", tally.entries[i].count, tally.entries[i].word);
    tally_free(&tally);
    free(text);
    return 0;
}
