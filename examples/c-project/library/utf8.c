#include "tally.h"

size_t utf8_length(const char *text, size_t left)
{
    unsigned char first = (unsigned char)text[0];
    size_t length = first < 0xc2 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 1;
    if (length > left)
        return 1;
    for (size_t i = 1; i < length; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 1;
    return length;
}

static int is_part_of_word(unsigned char byte)
{
    return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

const char *utf8_next_word(const char *text, size_t length, size_t *at, size_t *word_length)
{
    while (*at < length && !is_part_of_word((unsigned char)text[*at]))
        ++*at;
    size_t begin = *at;
    while (*at < length && is_part_of_word((unsigned char)text[*at]))
        *at += utf8_length(text + *at, length - *at);
    *word_length = *at - begin;
    return *word_length ? text + begin : NULL;
}
